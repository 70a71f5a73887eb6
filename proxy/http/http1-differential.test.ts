import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { compareReadings, LlhttpReader, mutatedRequest } from "./http1-parser.fuzz.ts";
import { readMessages } from "./parse-whole.ts";
import { acceptedCorpus } from "./smuggling-corpus.ts";

describe("beside llhttp", () => {
  test("every unusual request that is accepted is read the same way", async () => {
    await using reader = await LlhttpReader.open();
    for (const text of acceptedCorpus) expect([text, await compareReadings(reader, text)]).toEqual([text, undefined]);
  });

  test("mutated requests that are accepted are read the same way", async () => {
    await using reader = await LlhttpReader.open();
    let accepted = 0;
    await fc.assert(
      fc.asyncProperty(mutatedRequest, async (text) => {
        if (readMessages("request", [Buffer.from(text, "latin1")]).messages.some((message) => message.complete)) accepted++;
        expect([text, await compareReadings(reader, text)]).toEqual([text, undefined]);
      }),
      { numRuns: 600 },
    );
    // Otherwise the comparison has compared nothing.
    expect(accepted).toBeGreaterThan(30);
  });
});
