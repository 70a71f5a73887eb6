import { describe, expect, it } from "vitest";
import { isWholeAnswer, type FetchAnswer, type FetchRequest } from "#federation/model/replication-messages.ts";
import { AnswerParts, partTriesMax } from "./answer-parts.ts";
import { answerKeptMs } from "./kept-answers.ts";

const question: FetchRequest = { kind: "differing", digests: new Uint8Array() };

function part(index: number, parts: number, rest: Partial<FetchAnswer> = {}): FetchAnswer {
  const names = { federation: "demo.atoll", publisher: "shop-eu", audience: "global" };
  return { ...names, epoch: 1, term: 1, stream: "s", seq: 4, revision: 1, buckets: new Uint8Array(), answer: "s.1", part: index, parts, entries: [], ...rest };
}

describe("the parts of an answer", () => {
  it("are asked for one after the other until all are there", () => {
    const answer = new AnswerParts(question);
    expect(answer.next).toBe(question);
    answer.take(part(0, 3));
    expect(answer.next).toEqual({ kind: "part", answer: "s.1", part: 1 });
    answer.take(part(1, 3));
    expect(answer.next).toEqual({ kind: "part", answer: "s.1", part: 2 });
    answer.take(part(2, 3));
    expect(answer.next).toBeUndefined();
    expect(isWholeAnswer(answer.parts)).toBe(true);
  });

  it("are asked for again while each of them comes at last, however many are lost in all", () => {
    const answer = new AnswerParts(question);
    answer.take(part(0, 50));
    for (let index = 1; index < 50; index++) {
      for (let tries = 1; tries < partTriesMax; tries++) expect(answer.lose()).toBeGreaterThan(0);
      expect(answer.next).toEqual({ kind: "part", answer: "s.1", part: index });
      answer.take(part(index, 50));
    }
    expect(isWholeAnswer(answer.parts)).toBe(true);
    expect(answer.lost).toBe(49 * (partTriesMax - 1));
  });

  it("are given up when one is lost too often in a row, sooner than the publisher forgets them", () => {
    const answer = new AnswerParts(question);
    answer.take(part(0, 3));
    const waits = Array.from({ length: partTriesMax }, () => answer.lose());
    expect(waits).toEqual([200, 400, 800, 1600, 3200, 5000, 5000, undefined]);
    const unansweredMs = 5_000;
    const silentMs = waits.reduce<number>((sum, waitMs) => sum + (waitMs ?? 0) + unansweredMs, 0);
    expect(silentMs * 2).toBeLessThan(answerKeptMs);
  });

  it("are not begun again: a question that is lost is the schedule's", () => {
    const answer = new AnswerParts(question);
    expect(answer.lose()).toBeUndefined();
  });

  it.each([
    ["that is not kept any more", { parts: 0, part: 0 }],
    ["of another stream", { stream: "other" }],
    ["of another moment", { seq: 5 }],
    ["of another place", { part: 2 }],
  ])("end with one %s, and are no whole answer then", (_, rest) => {
    const answer = new AnswerParts(question);
    answer.take(part(0, 4));
    answer.take(part(1, 4, rest));
    expect(answer.next).toBeUndefined();
    expect(isWholeAnswer(answer.parts)).toBe(false);
  });

  it("are no whole answer either when the last one is of another", () => {
    const answer = new AnswerParts(question);
    answer.take(part(0, 2));
    answer.take(part(1, 2, { answer: "s.2" }));
    expect(answer.next).toBeUndefined();
    expect(isWholeAnswer(answer.parts)).toBe(false);
  });

  it("are not read beyond the bound", () => {
    const answer = new AnswerParts(question);
    expect(() => answer.take(part(0, 1025))).toThrow(expect.objectContaining({ code: "ATOLL_WIRE_TOO_LARGE" }));
    expect(answer.parts).toEqual([]);
  });
});
