import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterEach, beforeEach, expect, it } from "vitest";
import { createDomainFixture } from "#federation/identity/identity-fixture.ts";
import { issuedLivesFile, longestLives, noteLife, readIssuedLives, withIntermediate, withLife, type IssuedLives } from "./issued-lives.ts";

const none: IssuedLives = { earlierEndMs: 0, svidMs: 10, formerLifeEndMs: 0 };

it("never ends before an SVID of another intermediate does, whatever lives a plane was told to give", () => {
  const event = fc.oneof(fc.record({ kind: fc.constant("issue" as const) }), fc.record({ kind: fc.constant("life" as const), svidMs: fc.integer({ min: 1, max: 100 }) }), fc.record({ kind: fc.constant("intermediate" as const) }));
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.integer({ min: 0, max: 30 }), event)), (events) => {
      let [nowMs, lives] = [0, none];
      let issued: { readonly endMs: number; isEarlier: boolean }[] = [];
      for (const [passedMs, what] of events) {
        nowMs += passedMs;
        if (what.kind === "issue") issued.push({ endMs: nowMs + lives.svidMs, isEarlier: false });
        if (what.kind === "life") lives = withLife(lives, what.svidMs, nowMs);
        if (what.kind === "intermediate") {
          lives = withIntermediate(lives, nowMs);
          issued = issued.map((one) => ({ ...one, isEarlier: true }));
        }
        for (const { endMs, isEarlier } of issued) if (isEarlier) expect(lives.earlierEndMs).toBeGreaterThanOrEqual(endMs);
      }
    }),
  );
});

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "atoll-lives-"));
});
afterEach(() => rmSync(directory, { recursive: true }));

it("is the longest that it can be beside an intermediate that has no file of it, or a damaged one", () => {
  const nowMs = Date.UTC(2026, 0, 1);
  const { intermediateIssuer: issuer } = createDomainFixture("shop.example", nowMs);
  expect(longestLives(issuer)).toEqual({ earlierEndMs: nowMs + 86_400_000, svidMs: 86_400_000, formerLifeEndMs: 0 });
  for (const damage of [() => undefined, () => writeFileSync(join(directory, issuedLivesFile), "{}"), () => writeFileSync(join(directory, issuedLivesFile), "\u0000")]) {
    damage();
    expect(readIssuedLives(directory)).toBeUndefined();
    noteLife(directory, issuer, 10_000, nowMs + 5);
    expect(readIssuedLives(directory)).toEqual({ earlierEndMs: nowMs + 86_400_000, svidMs: 10_000, formerLifeEndMs: nowMs + 5 + 86_400_000 });
  }
});
