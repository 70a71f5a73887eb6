import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { RegionId, TrustDomainName } from "./names.ts";
import { policiesByName, policyConditions, policyFaults, type PolicySurroundings } from "./policy-conditions.ts";
import { comparePolicies } from "./policy-precedence.ts";
import { apiVersion, resourceId, type TrafficPolicy, type TrafficPolicyResourceSpec } from "./resource.ts";

const shop = "shop.example" as TrustDomainName;
const pay = "pay.example" as TrustDomainName;
const region = (name: string): RegionId => name as RegionId;

function policy(name: string, spec: Partial<TrafficPolicyResourceSpec> = {}, namespace = "web"): TrafficPolicy {
  return { apiVersion, kind: "TrafficPolicy", metadata: { name, namespace, generation: 3, createdAt: "2026-05-01T00:00:00Z" }, spec: { targetRef: { namespace: "web", name: "catalog", trustDomain: shop }, ...spec } };
}

function around(policies: readonly TrafficPolicy[], over: Partial<PolicySurroundings> = {}): PolicySurroundings {
  return { hasRegion: (name) => name === "eu-west" || name === "us-east", trustDomains: new Set([shop, pay]), policiesFor: policiesByName(policies), isExported: ({ name }) => name === "catalog", ...over };
}

const words = (one: TrafficPolicy, surroundings: PolicySurroundings): readonly string[] => policyConditions(one, surroundings).map(({ type, status, reason, message }) => `${type} ${status} ${reason}: ${message}`);

describe("the conditions of a policy", () => {
  it("say that it holds and that all it names is there, of its own generation", () => {
    const one = policy("a", { locality: { mode: "ordered", order: [region("eu-west")] } });
    expect(words(one, around([one]))).toEqual(["Accepted True Accepted: it holds wherever its service is called", "Conflicted False NoConflicts: no other policy is for its service", "ResolvedRefs True ResolvedRefs: all that it names is there"]);
    expect(policyConditions(one, around([one])).map(({ observedGeneration, lastTransitionTime }) => [observedGeneration, lastTransitionTime])).toEqual([[3, "2026-05-01T00:00:00Z"], [3, "2026-05-01T00:00:00Z"], [3, "2026-05-01T00:00:00Z"]]);
  });

  it("name each region that does not exist with its place, in either form of a locality, and a trust domain that no cluster is of", () => {
    const ordered = policy("a", { locality: { mode: "ordered", order: [region("eu-west"), region("eu-wset"), region("x")] } });
    expect(words(ordered, around([]))[2]).toBe("ResolvedRefs False RegionNotFound: spec.locality.order[1] names eu-wset: there is no such Region, and the policy does without it; spec.locality.order[2] names x: there is no such Region, and the policy does without it");
    const weights = policy("a", { locality: { mode: "weights", weights: [{ region: region("x"), weight: 1 }] }, targetRef: { namespace: "web", name: "catalog", trustDomain: "no.example" as TrustDomainName } });
    expect(words(weights, around([]))[2]).toBe("ResolvedRefs False RegionNotFound: spec.locality.weights[0].region names x: there is no such Region, and the policy does without it; spec.targetRef.trustDomain names no.example: no cluster is of it");
  });

  it("leave open whether a service is there that no cluster exports", () => {
    expect(words(policy("a", { targetRef: { namespace: "web", name: "ghost" } }), around([]))[2]).toBe("ResolvedRefs Unknown TargetNotExported: spec.targetRef names web/ghost, which no cluster exports: it holds in the cluster that has it, and for all once it is exported");
    const elsewhere = around([], { isExported: ({ trustDomain }) => trustDomain === pay });
    expect(words(policy("a"), elsewhere)[2]).toContain("web/catalog of shop.example, which no cluster exports");
    expect(words(policy("a", { targetRef: { namespace: "web", name: "catalog" } }), elsewhere)[2]).toContain("ResolvedRefs True");
  });

  it("name the policy that holds in its place, everywhere or for some trust domains", () => {
    const first = policy("a");
    const second = policy("b");
    const everywhere = policy("c", { targetRef: { namespace: "web", name: "catalog" } });
    const all = around([everywhere, second, first]);
    expect(words(first, all).slice(0, 2)).toEqual(["Accepted True Accepted: it holds wherever its service is called", "Conflicted False NoConflicts: no other policy is for its service"]);
    expect(words(second, all).slice(0, 2)).toEqual(["Accepted False Conflicted: TrafficPolicy web/a is for the same service and holds in its place: of several, the first by name does", "Conflicted True TargetTaken: TrafficPolicy web/a is for the same service and holds in its place: of several, the first by name does"]);
    expect(words(everywhere, all).slice(0, 2)).toEqual(["Accepted True Accepted: it holds for some trust domains", "Conflicted True TargetTaken: TrafficPolicy web/a is for the same service and holds in its place for some trust domains: of several, the first by name does"]);
    expect(policyFaults(policyConditions(second, all)).map(({ type }) => type)).toEqual(["Conflicted"]);
  });

  it("accept of any policies for one service exactly the one that holds in each trust domain", () => {
    const target = fc.constantFrom(shop, pay, undefined);
    fc.assert(
      fc.property(fc.uniqueArray(fc.record({ name: fc.constantFrom("a", "b", "c"), namespace: fc.constantFrom("web", "core"), target }), { minLength: 1, selector: ({ name, namespace }) => `${namespace}/${name}` }), (rows) => {
        const policies = rows.map((row) => policy(row.name, { targetRef: { namespace: "web", name: "catalog", ...(row.target === undefined ? {} : { trustDomain: row.target }) } }, row.namespace));
        const accepted = new Set(policies.filter((one) => policyConditions(one, around(policies))[0]?.status === "True").map(({ metadata }) => resourceId(metadata)));
        const holding = [shop, pay].flatMap((trustDomain) => policies.filter(({ spec: { targetRef } }) => targetRef.trustDomain === undefined || targetRef.trustDomain === trustDomain).toSorted(comparePolicies).slice(0, 1));
        expect(accepted).toEqual(new Set(holding.map(({ metadata }) => resourceId(metadata))));
      }),
    );
  });
});
