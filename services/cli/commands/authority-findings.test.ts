import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it } from "vitest";
import type { FederationStatus } from "#federation/admin-api/status.ts";
import { FederationKeys, initFederation } from "#services/global/federation-keys.ts";
import { renewIssuing } from "#services/global/issuing-renewal.ts";
import { authorityFindings, issuersShown } from "./authority-findings.ts";

type Row = NonNullable<FederationStatus["authorities"]>[number];

const dayMs = 86_400_000;
const nowMs = Date.UTC(2026, 0, 1);
const federation = "fed.example";
const ending = (leftMs: number, role = "issuing", { trustDomain = federation, lifeMs = 365 * dayMs } = {}): Row => ({ role, trustDomain: trustDomain as Row["trustDomain"], notBeforeMs: nowMs + leftMs - lifeMs, notAfterMs: nowMs + leftMs });
const of = (...rows: readonly Row[]) => authorityFindings(rows, { keysDir: undefined, nowMs });

it("says nothing of what lives for long", () => {
  expect(of()).toEqual({ warnings: [], problems: [] });
  expect(of(ending(30 * dayMs + 1), ending(3_650 * dayMs, "root", { lifeMs: 3_650 * dayMs }))).toEqual({ warnings: [], problems: [] });
});

it("warns from thirty days before the end on, and calls it wrong from seven", () => {
  const told = (leftMs: number) => {
    const { warnings, problems } = of(ending(leftMs));
    return [warnings.length, problems.length];
  };
  expect(told(30 * dayMs)).toEqual([1, 0]);
  expect(told(7 * dayMs + 1)).toEqual([1, 0]);
  expect(told(7 * dayMs)).toEqual([0, 1]);
  expect(told(-dayMs)).toEqual([0, 1]);
});

it("warns of a short life in its last third alone, and calls it wrong in its last twelfth", () => {
  const told = (leftMs: number) => {
    const { warnings, problems } = of(ending(leftMs, "issuing", { lifeMs: 12 * dayMs }));
    return [warnings.length, problems.length];
  };
  expect(told(4 * dayMs + 1)).toEqual([0, 0]);
  expect(told(4 * dayMs)).toEqual([1, 0]);
  expect(told(dayMs)).toEqual([0, 1]);
});

it("says by which command it is renewed, where the keys are", () => {
  expect(of(ending(10 * dayMs)).warnings).toEqual([
    "the federation's issuing certificate ends in 10 d: planes, engines and clients get no certificates after that, and those that they have end with it; `atoll renew-issuing --root-key FILE` in the directory of `atoll bootstrap`, then `sh renew-engines.sh` there, or as docs/engines.md says",
  ]);
  expect(authorityFindings([ending(-2 * dayMs)], { keysDir: "/state/demo/global", nowMs }).problems).toEqual([
    expect.stringMatching(/^the federation's issuing certificate ended 2 d ago: .*`atoll renew-issuing --keys \/state\/demo\/global --root-key FILE`/),
  ]);
});

it("names roots and authorities, the federation's and those of trust domains", () => {
  const { problems } = of(ending(300 * dayMs), ending(2 * dayMs, "root"), ending(2 * dayMs, "authority"), ending(2 * dayMs, "root", { trustDomain: "shop.example" }), ending(2 * dayMs, "authority", { trustDomain: "shop.example" }));
  expect(problems.map((line) => line.slice(0, line.indexOf(":")))).toEqual(["the federation's root ends in 2 d", "the federation's authority ends in 2 d", "shop.example's root ends in 2 d", "shop.example's authority ends in 2 d"]);
  expect(problems[2]).toMatch(/`atoll trust rotate shop\.example` gives it another$/);
});

it("is known from the chains of callers where the global plane does not answer, from the latest of them", () => {
  const directory = mkdtempSync(join(tmpdir(), "atoll-keys-"));
  try {
    initFederation(directory, federation, nowMs);
    const keys = FederationKeys.load(directory);
    const contextAt = (atMs: number): string => readFileSync(keys.writeClientContext("team", atMs), "utf8");
    const before = contextAt(nowMs);
    renewIssuing({ dataDir: directory, isForced: true, nowMs: nowMs + dayMs });
    expect(issuersShown([before])).toEqual([expect.objectContaining({ role: "issuing", trustDomain: federation, notAfterMs: nowMs + 365 * dayMs })]);
    expect(issuersShown([before, contextAt(nowMs + dayMs), "{}"]).map(({ notAfterMs }) => notAfterMs)).toEqual([nowMs + 366 * dayMs]);
    expect(issuersShown(["{}"])).toEqual([]);
  } finally {
    rmSync(directory, { recursive: true });
  }
});
