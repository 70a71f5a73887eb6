import { describe, expect, it } from "vitest";
import { judgeAttested, type AttestationRule, type Attested } from "./attestation.ts";
import type { JoinPurpose } from "./join-purpose.ts";

const attested: Attested = { source: "pods", documentSha256: "0".repeat(64), facts: { namespace: "web", serviceAccount: "edge", pod: "edge-1" }, subject: "web/edge", newKeyUntilMs: 1, rememberUntilMs: 1 };
const rule = (more: Partial<AttestationRule>): AttestationRule => ({ source: "pods", facts: { namespace: "web" }, gives: { kind: "gateway" }, cidrs: [], ...more });
const anything = (): boolean => true;
const judge = (rules: readonly AttestationRule[], isWanted: (purpose: JoinPurpose) => boolean = anything, address = "10.0.0.1") => judgeAttested(rules, attested, { address, isWanted });

describe("judgeAttested", () => {
  it("gives what the first rule gives that fits in every fact, for what is wanted, from where it may come", () => {
    const rules = [
      rule({ facts: { namespace: "other" } }),
      rule({ source: "others" }),
      rule({ facts: { namespace: "web", node: "node-1" } }),
      rule({ cidrs: ["192.0.2.0/24"] }),
      rule({ gives: { kind: "workload", namespace: "web", serviceAccount: "front" } }),
      rule({}),
    ];
    expect(judge(rules)).toEqual({ purpose: { kind: "workload", namespace: "web", serviceAccount: "front" } });
    expect(judge(rules, ({ kind }) => kind === "gateway")).toEqual({ purpose: { kind: "gateway" } });
    expect(judge(rules, ({ kind }) => kind === "gateway", "::ffff:192.0.2.7")).toEqual({ purpose: { kind: "gateway" } });
  });

  it("gives a workload the attested names where the rule leaves them out, when they can be names here", () => {
    expect(judge([rule({ gives: { kind: "workload" } })])).toEqual({ purpose: { kind: "workload", namespace: "web", serviceAccount: "edge" } });
    expect(judge([rule({ gives: { kind: "workload", namespace: "shop" } })])).toEqual({ purpose: { kind: "workload", namespace: "shop", serviceAccount: "edge" } });
    const dotted = { ...attested, facts: { ...attested.facts, serviceAccount: "edge.v2" } };
    expect(judgeAttested([rule({ gives: { kind: "workload" } })], dotted, { address: "", isWanted: anything })).toEqual({ refusal: "purpose" });
  });

  it("says how far the best rule came", () => {
    expect(judge([])).toEqual({ refusal: "rule" });
    expect(judge([rule({ facts: { namespace: "other" } })])).toEqual({ refusal: "rule" });
    expect(judge([rule({})], () => false)).toEqual({ refusal: "purpose" });
    expect(judge([rule({ cidrs: ["192.0.2.0/24"] }), rule({ facts: { namespace: "other" } })])).toEqual({ refusal: "address" });
  });

  it("takes no inherited property for a fact", () => {
    expect(judge([rule({ facts: { constructor: "x" } })])).toEqual({ refusal: "rule" });
  });
});
