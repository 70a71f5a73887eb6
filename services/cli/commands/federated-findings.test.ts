import { expect, it } from "vitest";
import type { ClusterStatus } from "#federation/admin-api/status.ts";
import { federatedProblems } from "./federated-findings.ts";

type Row = NonNullable<ClusterStatus["federatedTrustDomains"]>[number];

const dayMs = 86_400_000;
const asOfMs = 100 * dayMs;
const row = (over: Partial<Row> = {}): Row => ({ trustDomain: "partner.example" as Row["trustDomain"], profile: "https_web", sequence: 3, rootsNotAfterMs: asOfMs + 90 * dayMs, ...over });
const problems = (...federatedTrustDomains: readonly Row[]): readonly string[] => federatedProblems("shop-eu", { federatedTrustDomains: [...federatedTrustDomains], asOfMs });
const fault = (sinceMs: number, reason = "unreachable"): Pick<Row, "fault"> => ({ fault: { reason, message: "https://partner.example/: it cannot be reached", sinceMs } });

it("names a bundle that cannot be fetched once that has gone on for a minute, and at once where nobody is believed", () => {
  expect(problems(row(), row(fault(asOfMs - 59_000)))).toEqual([]);
  expect(problems(row(fault(asOfMs - 600_000)))).toEqual(["shop-eu goes on by sequence 3 of the bundle of partner.example: for 10 min it could not be fetched, https://partner.example/: it cannot be reached"]);
  const { sequence: _, rootsNotAfterMs: __, ...none } = row(fault(asOfMs - 5_000));
  expect(problems(none)).toEqual(["shop-eu believes nobody of partner.example: for 5 s it could not be fetched, https://partner.example/: it cannot be reached"]);
});

it("names roots of which the last ends within two weeks, and a trust domain that is one of the federation's", () => {
  expect(problems(row({ rootsNotAfterMs: asOfMs + 15 * dayMs }))).toEqual([]);
  expect(problems(row({ rootsNotAfterMs: asOfMs + 3 * dayMs }))).toEqual(["the last root of partner.example that shop-eu believes ends in 3 d, and its bundle endpoint has announced no other"]);
  expect(problems(row({ rootsNotAfterMs: asOfMs - 3 * dayMs }))[0]).toContain("ended 3 d ago");
  expect(problems({ ...row(), fault: { reason: "own", message: "partner.example is a trust domain of this federation", sinceMs: asOfMs } })).toEqual(["the FederatedTrustDomain partner.example in shop-eu has no effect: partner.example is a trust domain of this federation; delete it"]);
  expect(federatedProblems("shop-eu", { asOfMs })).toEqual([]);
});
