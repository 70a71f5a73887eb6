import { describe, expect, it } from "vitest";
import { HandshakeGate } from "./handshake-gate.ts";

describe("HandshakeGate", () => {
  it("lets so many in at a time, the rest in order, and refuses beyond its bound", () => {
    const gate = new HandshakeGate({ active: 2, waiting: 2 });
    const begun: number[] = [];
    const leaves: (() => void)[] = [];
    const enter = (index: number): boolean =>
      gate.enter((leave) => {
        begun.push(index);
        leaves.push(leave);
      });
    expect([0, 1, 2, 3, 4].map(enter)).toEqual([true, true, true, true, false]);
    expect(begun).toEqual([0, 1]);
    leaves[0]?.();
    leaves[0]?.();
    expect(begun).toEqual([0, 1, 2]);
    leaves[1]?.();
    expect(begun).toEqual([0, 1, 2, 3]);
    leaves[2]?.();
    leaves[3]?.();
    expect([gate.active, gate.waiting]).toEqual([0, 0]);
  });

  it("survives a turn that ends at once", () => {
    const gate = new HandshakeGate({ active: 1, waiting: 10 });
    let done = 0;
    for (let index = 0; index < 10; index++) {
      gate.enter((leave) => {
        done++;
        leave();
      });
    }
    expect(done).toBe(10);
    expect(gate.active).toBe(0);
  });
});
