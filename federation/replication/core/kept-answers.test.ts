import { describe, expect, it } from "vitest";
import type { FetchAnswer } from "#federation/model/replication-messages.ts";
import { answerKeptMs, KeptAnswers } from "./kept-answers.ts";

function partsOf(answer: string): readonly FetchAnswer[] {
  const names = { federation: "demo.atoll", publisher: "shop-eu", audience: "global" };
  return [0, 1, 2].map((part) => ({ ...names, epoch: 1, term: 1, stream: "s", seq: 4, revision: 1, buckets: new Uint8Array(), answer, part, parts: 3, entries: [] }));
}

describe("the answers that a publisher keeps", () => {
  it("last for as long as somebody goes on asking, whichever part, and no longer", () => {
    const kept = new KeptAnswers();
    kept.keep("a", partsOf("a"), 0);
    let nowMs = 0;
    for (const part of [1, 1, 1, 2, 2]) {
      nowMs += answerKeptMs - 1;
      kept.forget(nowMs);
      expect(kept.part("a", part, nowMs)).toMatchObject({ answer: "a", part });
    }
    kept.forget(nowMs + answerKeptMs);
    expect(kept.part("a", 2, nowMs + answerKeptMs)).toBeUndefined();
  });

  it("are eight at most, and the one that was left alone for longest gives way", () => {
    const kept = new KeptAnswers();
    for (let id = 0; id < 8; id++) kept.keep(`${id}`, partsOf(`${id}`), id);
    expect(kept.part("0", 1, 8)).toBeDefined();
    kept.keep("8", partsOf("8"), 9);
    expect(kept.part("1", 1, 10)).toBeUndefined();
    for (const id of ["0", "2", "3", "4", "5", "6", "7", "8"]) expect(kept.part(id, 1, 10)).toBeDefined();
  });

  it("are let go by age also where a younger one was asked of before an older one", () => {
    const kept = new KeptAnswers();
    kept.keep("old", partsOf("old"), 0);
    kept.keep("new", partsOf("new"), 10);
    expect(kept.part("old", 1, 20)).toBeDefined();
    kept.forget(10 + answerKeptMs);
    expect(kept.part("new", 1, 10 + answerKeptMs)).toBeUndefined();
    expect(kept.part("old", 1, 10 + answerKeptMs)).toBeDefined();
  });
});
