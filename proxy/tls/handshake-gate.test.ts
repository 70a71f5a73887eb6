import { beforeEach, describe, expect, it } from "vitest";
import { VirtualClock } from "#federation/runtime/virtual-clock.ts";
import { HandshakeGate, type HandshakeLimits } from "./handshake-gate.ts";

describe("HandshakeGate", () => {
  let clock: VirtualClock;
  let begun: number[];
  let ended: number[];
  let leaves: (() => void)[];
  beforeEach(() => {
    clock = new VirtualClock();
    begun = [];
    ended = [];
    leaves = [];
  });
  const gateOf = (limits: Partial<HandshakeLimits>): HandshakeGate => new HandshakeGate(clock, { active: 2, waiting: 2, lingering: 2, turnMs: 250, ...limits });
  const enter = (gate: HandshakeGate, index: number): boolean =>
    gate.enter({
      start: (leave) => {
        begun.push(index);
        leaves[index] = leave;
      },
      end: () => {
        ended.push(index);
        leaves[index]?.();
      },
    });

  it("lets so many in at a time, the rest in order, and refuses beyond its bound", () => {
    const gate = gateOf({});
    expect([0, 1, 2, 3, 4].map((index) => enter(gate, index))).toEqual([true, true, true, true, false]);
    expect(begun).toEqual([0, 1]);
    leaves[0]?.();
    leaves[0]?.();
    expect(begun).toEqual([0, 1, 2]);
    leaves[1]?.();
    expect(begun).toEqual([0, 1, 2, 3]);
    leaves[2]?.();
    leaves[3]?.();
    expect([gate.active, gate.waiting, gate.lingering]).toEqual([0, 0, 0]);
  });

  it("survives a turn that ends at once", () => {
    const gate = gateOf({ active: 1, waiting: 10 });
    let done = 0;
    for (let index = 0; index < 10; index++) {
      gate.enter({
        start: (leave) => {
          done++;
          leave();
        },
        end: () => undefined,
      });
    }
    expect(done).toBe(10);
    expect(gate.active).toBe(0);
  });

  it("lets others begin when a client says nothing for a turn, and hears it out all the same", async () => {
    const gate = gateOf({});
    for (const index of [0, 1, 2, 3]) enter(gate, index);
    await clock.advance(250);
    expect(begun).toEqual([0, 1, 2, 3]);
    expect([gate.active, gate.waiting, gate.lingering]).toEqual([2, 0, 2]);
    leaves[0]?.();
    expect([gate.active, gate.lingering]).toEqual([2, 1]);
    expect(ended).toEqual([]);
  });

  it("ends the oldest of those that said nothing when there are too many of them", async () => {
    const gate = gateOf({ active: 1, waiting: 9 });
    for (let index = 0; index < 6; index++) enter(gate, index);
    for (let turn = 0; turn < 5; turn++) await clock.advance(250);
    expect(begun).toEqual([0, 1, 2, 3, 4, 5]);
    expect(ended).toEqual([0, 1, 2]);
    expect([gate.active, gate.waiting, gate.lingering]).toEqual([1, 0, 2]);
  });

  it("goes on when what is ended to make room leaves at once", async () => {
    const gate = gateOf({ lingering: 1 });
    for (const index of [0, 1, 2, 3]) enter(gate, index);
    await clock.advance(500);
    expect(ended).toEqual([0, 1, 2]);
    leaves[3]?.();
    expect([gate.active, gate.waiting, gate.lingering]).toEqual([0, 0, 0]);
  });
});
