import { describe, expect, it } from "vitest";
import { isWholeAnswer, type FetchAnswer, type FetchRequest } from "#federation/model/replication-messages.ts";
import { AnswerParts, partsAheadMax, partTimeoutMs, partTriesMax } from "./answer-parts.ts";
import { answerKeptMs } from "./kept-answers.ts";

const question: FetchRequest = { kind: "differing", digests: new Uint8Array() };

function part(index: number, parts: number, rest: Partial<FetchAnswer> = {}): FetchAnswer {
  const names = { federation: "demo.atoll", publisher: "shop-eu", audience: "global" };
  return { ...names, epoch: 1, term: 1, stream: "s", seq: 4, revision: 1, buckets: new Uint8Array(), answer: "s.1", part: index, parts, entries: [], ...rest };
}

/** Within an eighth of its time, and not. */
const [quickMs, slowMs] = [partTimeoutMs / 8, partTimeoutMs / 8 + 1];

/** What is to be asked for now, in short: the numbers of parts, "?" for the question. */
function asked(answer: AnswerParts): string {
  const requests: string[] = [];
  for (let request = answer.next(); request !== undefined; request = answer.next()) requests.push(request.kind === "part" ? `${request.part}` : "?");
  return requests.join(" ");
}

function askFor(index: number): FetchRequest {
  return { kind: "part", answer: "s.1", part: index };
}

function take(answer: AnswerParts, index: number, parts: number, tookMs = slowMs): void {
  answer.take(index === 0 ? question : askFor(index), part(index, parts), tookMs);
}

describe("the parts of an answer", () => {
  it("are asked for one after the other while they take their time, until all are there", () => {
    const answer = new AnswerParts(question);
    expect(answer.next()).toBe(question);
    expect(answer.next()).toBeUndefined();
    take(answer, 0, 3);
    expect(answer.next()).toEqual({ kind: "part", answer: "s.1", part: 1 });
    expect([answer.next(), answer.isOver]).toEqual([undefined, false]);
    take(answer, 1, 3);
    expect(answer.next()).toEqual({ kind: "part", answer: "s.1", part: 2 });
    take(answer, 2, 3);
    expect([answer.next(), answer.isOver]).toEqual([undefined, true]);
    expect(isWholeAnswer(answer.parts)).toBe(true);
  });

  it("are asked for a few at once as they come soon, one more with each and so many at most, and one at a time again after a loss", () => {
    const answer = new AnswerParts(question);
    expect(asked(answer)).toBe("?");
    take(answer, 0, 50, quickMs);
    expect(asked(answer)).toBe("1 2");
    take(answer, 1, 50, quickMs);
    expect(asked(answer)).toBe("3 4");
    take(answer, 2, 50, slowMs);
    expect(asked(answer)).toBe("5");
    take(answer, 3, 50, quickMs);
    expect(asked(answer)).toBe("6 7");
    for (const index of [4, 5, 6]) take(answer, index, 50, quickMs);
    expect(asked(answer)).toBe("8 9 10");
    expect(partsAheadMax).toBe(4);
    answer.lose(askFor(8));
    for (const index of [7, 9, 10]) {
      take(answer, index, 50);
      expect(asked(answer)).toBe("");
    }
    take(answer, 8, 50);
    expect(asked(answer)).toBe("11");
  });

  it("are one whole answer in whatever order they come", () => {
    const answer = new AnswerParts(question);
    asked(answer);
    take(answer, 0, 4, quickMs);
    asked(answer);
    take(answer, 2, 4, quickMs);
    asked(answer);
    take(answer, 3, 4, quickMs);
    expect([answer.isOver, isWholeAnswer(answer.parts)]).toEqual([false, false]);
    take(answer, 1, 4, quickMs);
    expect([answer.isOver, isWholeAnswer(answer.parts)]).toEqual([true, true]);
    expect(answer.parts.map((one) => one.part)).toEqual([0, 1, 2, 3]);
  });

  it.each([0.05, 0.15, 0.3, 0.32, 0.4, 0.6, 0.65, 1.2, 2, 4.9])("all come in time over a full link on which one takes %f s, however many are asked for at once", (partSeconds) => {
    const answer = new AnswerParts(question);
    let [nowMs, freeMs] = [0, 0];
    const onTheWay: { readonly request: FetchRequest; readonly askedMs: number; readonly comesMs: number }[] = [];
    while (!answer.isOver) {
      for (let request = answer.next(); request !== undefined; request = answer.next()) {
        freeMs = Math.max(freeMs, nowMs) + partSeconds * 1_000;
        onTheWay.push({ request, askedMs: nowMs, comesMs: freeMs });
      }
      const next = onTheWay.shift();
      if (next === undefined) throw new Error("nothing is asked for");
      nowMs = next.comesMs;
      // Nothing is behind others by more than two seconds.
      expect(nowMs - next.askedMs).toBeLessThan(Math.max(2_000, partSeconds * 1_000 + 1));
      answer.take(next.request, part(next.request.kind === "part" ? next.request.part : 0, 100), nowMs - next.askedMs);
    }
    expect(isWholeAnswer(answer.parts)).toBe(true);
  });

  it("are asked for again while each of them comes at last, however many are lost in all", () => {
    const answer = new AnswerParts(question);
    asked(answer);
    take(answer, 0, 50);
    for (let index = 1; index < 50; index++) {
      expect(asked(answer)).toBe(`${index}`);
      for (let tries = 1; tries < partTriesMax; tries++) expect(answer.lose(askFor(index))).toBeGreaterThan(0);
      expect(asked(answer)).toBe("");
      take(answer, index, 50);
    }
    expect(isWholeAnswer(answer.parts)).toBe(true);
    expect(answer.lost).toBe(49 * (partTriesMax - 1));
  });

  it("are given up when one is lost too often in a row, whatever comes beside it, sooner than the publisher forgets them", () => {
    const answer = new AnswerParts(question);
    asked(answer);
    take(answer, 0, 50, quickMs);
    expect(asked(answer)).toBe("1 2");
    const waits = Array.from({ length: partTriesMax }, (_, tries) => {
      // One beside it is lost as well, and comes.
      if (tries === 3) answer.lose(askFor(2));
      if (tries === 4) take(answer, 2, 50);
      return answer.lose(askFor(1));
    });
    expect(waits).toEqual([200, 400, 800, 1600, 3200, 5000, 5000, undefined]);
    const silentMs = waits.reduce<number>((sum, waitMs) => sum + (waitMs ?? 0) + partTimeoutMs, 0);
    expect(silentMs * 2).toBeLessThan(answerKeptMs);
  });

  it("are not begun again: a question that is lost is the schedule's", () => {
    const answer = new AnswerParts(question);
    asked(answer);
    expect(answer.lose(question)).toBeUndefined();
  });

  it.each([
    ["that is not kept any more", { parts: 0, part: 0 }],
    ["of another stream", { stream: "other" }],
    ["of another moment", { seq: 5 }],
    ["of another answer", { answer: "s.2" }],
  ])("end with one %s, and are no whole answer then, whatever else comes", (_, rest) => {
    for (const index of [1, 2, 3]) {
      const answer = new AnswerParts(question);
      asked(answer);
      take(answer, 0, 4, quickMs);
      for (const before of [1, 2, 3].filter((other) => other < index)) take(answer, before, 4, quickMs);
      answer.take(askFor(index), part(index, 4, rest), quickMs);
      expect([answer.next(), answer.isOver]).toEqual([undefined, true]);
      expect(isWholeAnswer(answer.parts)).toBe(false);
      for (const after of [1, 2, 3].filter((other) => other > index)) take(answer, after, 4, quickMs);
      expect(isWholeAnswer(answer.parts)).toBe(false);
    }
  });

  it("end with one of another place", () => {
    const answer = new AnswerParts(question);
    asked(answer);
    take(answer, 0, 4, quickMs);
    answer.take(askFor(1), part(2, 4), quickMs);
    expect([answer.next(), answer.isOver, isWholeAnswer(answer.parts)]).toEqual([undefined, true, false]);
  });

  it("are not read beyond the bound", () => {
    const answer = new AnswerParts(question);
    expect(() => answer.take(question, part(0, 1025), quickMs)).toThrow(expect.objectContaining({ code: "ATOLL_WIRE_TOO_LARGE" }));
    expect(answer.parts).toEqual([]);
  });
});
