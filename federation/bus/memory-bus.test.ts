import { describe, expect, it } from "vitest";
import { systemClock } from "#federation/runtime/clock.ts";
import { VirtualClock } from "#federation/runtime/virtual-clock.ts";
import { describeBusContract, MessageReader } from "./bus-contract.ts";
import { MemoryHub } from "./memory-bus.ts";

describeBusContract("memory", () => {
  const hub = new MemoryHub(systemClock);
  return Promise.resolve({
    open: (observer) => Promise.resolve(hub.open("bus", observer)),
    [Symbol.asyncDispose]: () => Promise.resolve(),
  });
});

describe("the faults of a memory hub", () => {
  it("lose, delay and repeat messages as told", async () => {
    const clock = new VirtualClock();
    const hub = new MemoryHub(clock);
    const [a, b] = [hub.open("a"), hub.open("b")];
    const reader = new MessageReader(b.subscribe("x", new AbortController().signal));
    hub.faults = () => [];
    a.publish("x", new TextEncoder().encode("lost"));
    hub.faults = ({ from, to }) => (from === "a" && to === "b" ? [20, 30] : []);
    a.publish("x", new TextEncoder().encode("twice"));
    hub.faults = () => [0];
    a.publish("x", new TextEncoder().encode("first"));
    await clock.advance(40);
    expect(await reader.take(3)).toEqual(["x first", "x twice", "x twice"]);
  });

  it("cut a bus off: it misses what is sent, drops what it sends, and hears of the return", async () => {
    const hub = new MemoryHub(new VirtualClock());
    let drops = 0;
    let returns = 0;
    const a = hub.open("a", { dropped: (count) => void (drops += count), reconnected: () => void returns++ });
    const b = hub.open("b");
    const signal = new AbortController().signal;
    const reader = new MessageReader(a.subscribe(">", signal));
    a.setConnected(false);
    a.publish("out", new Uint8Array());
    b.publish("in", new Uint8Array());
    await expect(a.request("out", new Uint8Array(), 10, signal)).rejects.toMatchObject({ code: "ATOLL_BUS_UNAVAILABLE" });
    a.setConnected(true);
    b.publish("again", new Uint8Array());
    expect((await reader.next()).subject).toBe("again");
    expect([drops, returns]).toEqual([1, 1]);
  });
});
