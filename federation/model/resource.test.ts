import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { isLabel, parseClusterId, parseRegionId } from "./names.ts";
import { resourceId, withCondition, type RelationshipSpec } from "./resource.ts";
import { relationshipSigningInput } from "./signing-input.ts";
import { parseTrustDomainName } from "./spiffe-id.ts";
import { defaultTrafficPolicy, fillTrafficPolicy } from "./traffic-policy.ts";

describe("names", () => {
  it("are RFC 1123 labels and nothing else", () => {
    for (const good of ["a", "0", "eu-west", "x".repeat(63)]) expect(parseRegionId(good)).toBe(good);
    for (const bad of ["", "-a", "a-", "A", "a.b", "a_b", "ä", "a/b", "a\n", "x".repeat(64)]) {
      expect(() => parseRegionId(bad), bad).toThrow(expect.objectContaining({ code: "ATOLL_NAME_INVALID" }));
    }
  });

  it("of clusters leave out the one that means the global plane", () => {
    expect(parseClusterId("globe")).toBe("globe");
    expect(() => parseClusterId("global")).toThrow(expect.objectContaining({ code: "ATOLL_NAME_INVALID" }));
  });

  it("never hold what parts a key, a subject or a host", () => {
    fc.assert(fc.property(fc.string(), (text) => !isLabel(text) || !/[^a-z0-9-]/.test(text)));
  });
});

describe("conditions", () => {
  const ready = { type: "Ready", reason: "Yes", message: "", observedGeneration: 1 } as const;

  it("keep the time of their last change of status, one of each type", () => {
    const first = withCondition([], { ...ready, status: "True" }, 1_000);
    const second = withCondition(first, { ...ready, status: "True", reason: "Still" }, 2_000);
    expect(second).toEqual([{ ...ready, status: "True", reason: "Still", lastTransitionTime: new Date(1_000).toISOString() }]);
    const third = withCondition(second, { ...ready, status: "False" }, 3_000);
    expect(third.map((condition) => condition.lastTransitionTime)).toEqual([new Date(3_000).toISOString()]);
  });
});

describe("the bytes that approve a relationship", () => {
  const spec: RelationshipSpec = {
    caller: { trustDomain: parseTrustDomainName("shop.example"), authoritySha256: "a".repeat(64), principals: ["ns/web/sa/b", "ns/web/sa/a"] },
    callee: { trustDomain: parseTrustDomainName("pay.example"), authoritySha256: "b".repeat(64), services: ["core/payments"] },
    validUntil: "2027-01-01T01:00:00+01:00",
  };
  const bytes = (changed: RelationshipSpec, name = "r"): string => Buffer.from(relationshipSigningInput(name, changed)).toString();

  it("are the same for the same facts in another order or time zone, and different for any other fact", () => {
    const same = { ...spec, validUntil: "2027-01-01T00:00:00Z", caller: { ...spec.caller, principals: ["ns/web/sa/a", "ns/web/sa/b"] } };
    expect(bytes(same)).toBe(bytes(spec));
    const others = [
      bytes(spec, "s"),
      bytes({ ...spec, validUntil: "2027-01-01T00:00:00.001Z" }),
      bytes({ ...spec, caller: { ...spec.caller, principals: ["ns/web/sa/a"] } }),
      bytes({ ...spec, caller: { ...spec.caller, authoritySha256: "c".repeat(64) } }),
      bytes({ ...spec, callee: { ...spec.callee, services: ["core/payments", "core/refunds"] } }),
      bytes({ ...spec, callee: { ...spec.callee, trustDomain: parseTrustDomainName("other.example") } }),
    ];
    expect(new Set([...others, bytes(spec)]).size).toBe(others.length + 1);
  });
});

it("a policy's gaps are filled with the defaults, and nothing else is touched", () => {
  expect(fillTrafficPolicy({})).toEqual(defaultTrafficPolicy);
  const filled = fillTrafficPolicy({ timeouts: { requestMs: 1 }, retries: { retriesMax: 0 } });
  expect(filled.timeouts).toEqual({ ...defaultTrafficPolicy.timeouts, requestMs: 1 });
  expect(filled.retries).toEqual({ ...defaultTrafficPolicy.retries, retriesMax: 0 });
});

it("the id of a resource is its namespace and name, or its name", () => {
  expect(resourceId({ name: "a" })).toBe("a");
  expect(resourceId({ name: "a", namespace: "b" })).toBe("b/a");
});
