import { describe, expect, it } from "vitest";
import { digestsBytes, type Heartbeat } from "#federation/model/replication-messages.ts";
import { doubtMs, Incarnations, returnsMin, settleMs, silenceMs, type IncarnationVerdict } from "./incarnations.ts";

/** A receiver that hears heartbeats each second, of whoever speaks. */
class Ear {
  readonly incarnations = new Incarnations(1);
  nowMs = 0;
  readonly #beats = new Map<string, number>();

  /** One heartbeat of each of `speakers`, spread over a second. */
  second(...speakers: readonly string[]): readonly IncarnationVerdict[] {
    return speakers.map((id) => {
      this.nowMs += 1_000 / speakers.length;
      return this.hear(id);
    });
  }

  seconds(count: number, ...speakers: readonly string[]): IncarnationVerdict | undefined {
    let last: IncarnationVerdict | undefined;
    for (let second = 0; second < count; second++) last = this.second(...speakers).at(-1);
    return last;
  }

  hear(id: string, rest: Partial<Heartbeat> = {}): IncarnationVerdict {
    const beat = (this.#beats.get(id) ?? 0) + 1;
    this.#beats.set(id, beat);
    return this.incarnations.hear(heartbeatOf(id, { beat, ...rest }), { nowMs: this.nowMs, wallMs: 1_000_000 + this.nowMs, encoded: Buffer.from(`${id} ${beat}`) });
  }
}

function heartbeatOf(id: string, rest: Partial<Heartbeat> = {}): Heartbeat {
  return { federation: "demo.atoll", publisher: "shop-eu", audience: "global", publisherTrustDomain: "shop-eu.example", epoch: 1, term: 1, stream: `stream of ${id}`, seq: 0, digests: new Uint8Array(digestsBytes), nonce: Uint8Array.of(1), sentAtMs: 0, beat: 1, incarnation: id, ...rest };
}

describe("two planes of one name", () => {
  it("are not what a restart is: A, then B, and never A again", () => {
    const ear = new Ear();
    expect(ear.seconds(5, "a")).toBe("sole");
    expect(ear.seconds(5, "b")).toBe("sole");
    expect(ear.seconds(5, "c")).toBe("sole");
  });

  it("are doubted when one comes back after the other, and known when it has done so often", () => {
    const ear = new Ear();
    ear.seconds(3, "a");
    expect(ear.second("b", "a")).toEqual(["sole", "doubted"]);
    expect(ear.incarnations.isStopping).toBe(true);
    expect(ear.incarnations.doubled).toBeUndefined();
    expect(ear.seconds(returnsMin, "b", "a")).toBe("doubled");
    expect(ear.incarnations.doubled).toEqual({ incarnations: ["a", "b"], sinceMs: expect.any(Number) });
    expect(ear.seconds(3_600, "b", "a")).toBe("doubled");
  });

  it("are not a leader that speaks for as long as its lease after its successor has begun", () => {
    const ear = new Ear();
    ear.seconds(3, "a");
    expect(ear.seconds(6, "b", "a")).toBe("doubted");
    expect(ear.seconds(doubtMs / 1_000 + 1, "b")).toBe("sole");
    expect(ear.seconds(60, "b")).toBe("sole");
  });

  it("are not made of heartbeats that come twice or late", () => {
    const ear = new Ear();
    ear.seconds(3, "a");
    ear.seconds(1, "b");
    for (let replay = 0; replay < 100; replay++) expect(ear.hear("a", { beat: 2 })).toBe("sole");
  });

  it("end when one is alone for long, and the other is not believed again before it has been alone for as long", () => {
    const ear = new Ear();
    ear.seconds(3, "a");
    ear.seconds(12, "b", "a");
    expect(ear.seconds(silenceMs / 1_000 - 2, "a")).toBe("doubled");
    expect(ear.seconds(4, "a")).toBe("sole");
    expect(ear.incarnations.doubled).toBeUndefined();
    expect(ear.second("b")).toEqual(["doubled"]);
    expect(ear.second("a")).toEqual(["doubled"]);
    expect(ear.seconds(silenceMs / 1_000 + 2, "b")).toBe("sole");
  });

  it("do not end by our own silence", () => {
    const ear = new Ear();
    ear.seconds(14, "a", "b");
    ear.nowMs += 10 * silenceMs;
    expect(ear.second("a")).toEqual(["doubled"]);
    expect(ear.second("b")).toEqual(["doubled"]);
  });

  it("end when an operator has begun an epoch above at one of them; the other is over then, and says nothing any more", () => {
    const ear = new Ear();
    ear.seconds(14, "a", "b");
    expect(ear.hear("a2", { epoch: 2 })).toBe("sole");
    for (let second = 0; second < 60; second++) {
      expect(ear.hear("b")).toBe("over");
      expect(ear.hear("a2", { epoch: 2 })).toBe("sole");
    }
    expect(ear.incarnations.isSpeaking(ear.nowMs)).toBe(true);
  });

  it("end with none when operators begin the same epoch at both", () => {
    const ear = new Ear();
    ear.seconds(14, "a", "b");
    for (let turn = 0; turn <= returnsMin; turn++) for (const id of ["a2", "b2"]) ear.hear(id, { epoch: 2 });
    expect(ear.incarnations.doubled?.incarnations).toEqual(["a2", "b2"]);
  });

  it("are told by their streams when they are of a version that says no incarnation", () => {
    const ear = new Ear();
    for (let turn = 0; turn <= returnsMin; turn++) for (const id of ["a", "b"]) ear.hear(id, { incarnation: undefined });
    expect(ear.incarnations.doubled?.incarnations).toEqual(["stream of a", "stream of b"]);
  });

  it("hold a new stream up for as long as another is heard, and no stream of a later epoch", () => {
    const ear = new Ear();
    ear.hear("a");
    const next = { epoch: 1, stream: "stream of b" };
    expect(ear.incarnations.isHeldUp(next, ear.nowMs)).toBe(true);
    expect(ear.incarnations.isHeldUp({ epoch: 1, stream: "stream of a" }, ear.nowMs)).toBe(false);
    expect(ear.incarnations.isHeldUp({ ...next, epoch: 2 }, ear.nowMs)).toBe(false);
    expect(ear.incarnations.isHeldUp(next, ear.nowMs + settleMs)).toBe(false);
  });

  it("are each shown what the other has said last", () => {
    const ear = new Ear();
    ear.hear("a");
    expect(ear.incarnations.rivalOf(heartbeatOf("a"), ear.nowMs)).toBeUndefined();
    ear.hear("b");
    ear.hear("a");
    expect(Buffer.from(ear.incarnations.rivalOf(heartbeatOf("b"), ear.nowMs) ?? []).toString()).toBe("a 2");
    expect(Buffer.from(ear.incarnations.rivalOf(heartbeatOf("a"), ear.nowMs) ?? []).toString()).toBe("b 1");
    expect(ear.incarnations.rivalOf(heartbeatOf("a"), ear.nowMs + 60_000)).toBeUndefined();
  });
});
