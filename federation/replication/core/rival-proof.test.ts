import { describe, expect, it } from "vitest";
import { proofsMin, RivalProof } from "./rival-proof.ts";

const nonce = (number: number): Uint8Array => Uint8Array.of(number);

describe("proof that another process of the same name is alive", () => {
  it("is given by what repeats our nonces, so often that no leader of before can have done it", () => {
    const proof = new RivalProof();
    for (let beat = 1; beat <= proofsMin; beat++) {
      proof.sent(nonce(beat));
      expect(proof.shown({ nonce: nonce(100 + beat), echo: nonce(beat) }, beat * 1_000)).toBe(beat === proofsMin);
      expect(proof.echo).toEqual(nonce(100 + beat));
    }
  });

  it("is not given by heartbeats that are shown again, nor by those that repeat nothing of ours", () => {
    const proof = new RivalProof();
    for (let beat = 1; beat <= 100; beat++) {
      if (beat < proofsMin) proof.sent(nonce(beat));
      for (const echo of [nonce(1), nonce(200), undefined]) expect(proof.shown({ nonce: nonce(100), echo }, beat * 100)).toBe(false);
    }
  });

  it("begins anew after a silence, and with nonces that are long past", () => {
    const proof = new RivalProof();
    let nowMs = 0;
    const answer = (number: number): boolean => proof.shown({ nonce: nonce(0), echo: nonce(number) }, (nowMs += 1_000));
    for (let beat = 1; beat <= 60; beat++) proof.sent(nonce(beat));
    for (let beat = 1; beat <= 28; beat++) expect(answer(beat)).toBe(false);
    for (let beat = 29; beat < 28 + proofsMin; beat++) expect(answer(beat)).toBe(false);
    nowMs += 60_000;
    for (let beat = 38; beat < 37 + proofsMin; beat++) expect(answer(beat)).toBe(false);
    expect(answer(47)).toBe(true);
  });
});
