import { describe, expect, it } from "vitest";
import { VirtualClock } from "#federation/runtime/virtual-clock.ts";
import { ConnectionGate, connectionLimits } from "./connection-gate.ts";

const { connections, connectionsOfAddress, rememberedMs, burst, perSecond } = connectionLimits;

describe("ConnectionGate", () => {
  it("keeps one address from taking the room of the others", async () => {
    const clock = new VirtualClock();
    const gate = new ConnectionGate(clock);
    const entered = Array.from({ length: connectionsOfAddress + 1 }, () => gate.enter("10.0.0.1"));
    expect(entered).toEqual([...Array.from({ length: connectionsOfAddress }, () => undefined), "connectionsOfAddress"]);
    expect(gate.enter("10.0.0.2")).toBeUndefined();
    gate.leave("10.0.0.1");
    expect(gate.connections).toBe(connectionsOfAddress);
    expect(gate.enter("10.0.0.1"), "it was here just now").toBe("connectionsOfAddress");
    await clock.advance(rememberedMs);
    expect(gate.enter("10.0.0.1")).toBeUndefined();
    expect(gate.enter("10.0.0.1")).toBe("connectionsOfAddress");
  });

  it("leaves most of the rate to others, however often one address comes and goes", async () => {
    const clock = new VirtualClock();
    const gate = new ConnectionGate(clock);
    let taken = 0;
    for (let second = 0; second < 60; second++) {
      for (let turn = 0; turn < 2 * perSecond; turn++) {
        if (gate.enter("10.0.0.1") !== undefined) continue;
        taken++;
        gate.leave("10.0.0.1");
      }
      expect(gate.enter("10.0.0.2")).toBeUndefined();
      gate.leave("10.0.0.2");
      await clock.advance(1_000);
    }
    expect(taken).toBe((60_000 / rememberedMs) * connectionsOfAddress);
  });

  it("takes no more than a plane has time for, and goes on as time does", async () => {
    const clock = new VirtualClock();
    const gate = new ConnectionGate(clock);
    const come = (count: number) => Array.from({ length: count }, (_, index) => gate.enter(`10.0.${count}.${index}`)).filter((refusal) => refusal === undefined).length;
    expect(come(burst + 10)).toBe(burst);
    await clock.advance(1_000);
    expect(come(perSecond + 5)).toBe(perSecond);
    expect(gate.enter("10.1.0.1")).toBe("rate");
  });

  it("holds a number of connections, whoever they are of", async () => {
    const clock = new VirtualClock();
    const gate = new ConnectionGate(clock);
    for (let index = 0; index < connections; index++) {
      expect(gate.enter(`10.0.0.${index}`)).toBeUndefined();
      await clock.advance(1_000 / perSecond);
    }
    expect(gate.enter("10.1.0.1")).toBe("connections");
    for (let index = 0; index < connections; index++) gate.leave(`10.0.0.${index}`);
    expect(gate.connections).toBe(0);
    expect(gate.enter("10.1.0.1")).toBeUndefined();
  });
});
