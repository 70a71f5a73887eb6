import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { isAtollError } from "#federation/runtime/errors.ts";
import type { SpiffeId, TrustDomainName } from "#federation/model/names.ts";
import { apiVersion, type Relationship, type Service, type TrafficPolicy } from "#federation/model/resource.ts";
import { administratorsAlone, demandWrite, describeGrants, grantsOf, mayWrite, type Grant, type Scope } from "./access.ts";
import type { Caller } from "./caller.ts";
import { scopeOfResource } from "./resource-scope.ts";

const shop = "shop.example" as TrustDomainName;
const pay = "pay.example" as TrustDomainName;
const certificate = (path: string): Caller => ({ kind: "certificate", spiffeId: `spiffe://demo.atoll${path}` as SpiffeId });
const token = (claims: Record<string, string>): Caller => ({ kind: "token", issuer: "https://ci.example", subject: "deploy", claims });

const domains = fc.subarray([shop, pay, "other.example" as TrustDomainName]);
const names = fc.subarray(["a", "b", "c"]);
const grants: fc.Arbitrary<readonly Grant[]> = fc.array(
  fc.record({ role: fc.constantFrom("viewer" as const, "operator" as const), trustDomains: domains, namespaces: names }, { requiredKeys: ["role"] }),
  { maxLength: 3 },
);
const scopes: fc.Arbitrary<Scope> = fc.record({ oneOfTrustDomains: fc.oneof(fc.constant("all" as const), domains), everyNamespace: fc.oneof(fc.constant("all" as const), names) });

describe("grantsOf", () => {
  it("makes administrators of certificates below the administrators' path, and of nobody who only sounds like it", () => {
    expect(grantsOf(certificate("/atoll/admin/local"), [])).toEqual([{ role: "administrator" }]);
    for (const path of ["/atoll/administrator", "/atoll/client/admin", "/x/atoll/admin/local"]) expect(grantsOf(certificate(path), [])).toEqual([]);
    expect(grantsOf({ ...token({}), subject: "spiffe://demo.atoll/atoll/admin/local" } as Caller, [])).toEqual([]);
  });

  it("binds a certificate by its whole identity, and a token by every claim that is named", () => {
    const bindings = [
      { role: "viewer" as const, subject: { spiffeId: "spiffe://demo.atoll/atoll/client/dash" } },
      { role: "operator" as const, subject: { claims: { sub: "deploy", repository: "shop/web" } } },
    ];
    expect(describeGrants(grantsOf(certificate("/atoll/client/dash"), bindings))).toBe("viewer");
    expect(grantsOf(certificate("/atoll/client/dashboard"), bindings)).toEqual([]);
    expect(describeGrants(grantsOf(token({ sub: "deploy", repository: "shop/web", ref: "main" }), bindings))).toBe("operator");
    expect(grantsOf(token({ sub: "deploy", repository: "shop/web2" }), bindings)).toEqual([]);
    expect(grantsOf(token({ sub: "deploy" }), bindings)).toEqual([]);
  });

  it("never reads a claim from the object's own prototype", () => {
    expect(grantsOf(token({}), [{ role: "administrator", subject: { claims: { constructor: "Object" } } }])).toEqual([]);
  });
});

describe("mayWrite", () => {
  it("lets a scope through exactly when one single grant covers all of it", () => {
    fc.assert(
      fc.property(grants, scopes, (given, scope) => {
        const dumb = given.some((grant) => {
          if (grant.role !== "operator") return false;
          const inDomain = grant.trustDomains === undefined || (scope.oneOfTrustDomains !== "all" && scope.oneOfTrustDomains.some((name) => grant.trustDomains?.includes(name)));
          const outside = scope.everyNamespace === "all" ? grant.namespaces !== undefined : scope.everyNamespace.some((name) => grant.namespaces !== undefined && !grant.namespaces.includes(name));
          return inDomain && !outside;
        });
        expect(mayWrite(given, scope)).toBe(dumb);
      }),
    );
  });

  it("keeps what is for administrators from every operator", () => {
    fc.assert(fc.property(grants, (given) => !mayWrite(given, administratorsAlone)));
    expect(mayWrite([{ role: "administrator" }], administratorsAlone)).toBe(true);
  });

  it("says what would be needed and what the caller is", () => {
    const caller = certificate("/atoll/client/shop");
    const operator: Grant = { role: "operator", trustDomains: [shop], namespaces: ["web"] };
    try {
      demandWrite(caller, [operator], { oneOfTrustDomains: [pay], everyNamespace: ["money"] }, "applyTrafficPolicy");
      expect.unreachable();
    } catch (error) {
      expect(isAtollError(error, "ATOLL_ADMIN_FORBIDDEN") && error.message).toBe(
        "spiffe://demo.atoll/atoll/client/shop may not applyTrafficPolicy: that takes an administrator, or an operator of pay.example in money, and this caller is operator of trust domain shop.example in namespace web",
      );
    }
  });
});

describe("scopeOfResource", () => {
  const operator: readonly Grant[] = [{ role: "operator", trustDomains: [shop], namespaces: ["web"] }];
  const policy = (namespace: string, targetRef: TrafficPolicy["spec"]["targetRef"]): TrafficPolicy => ({ apiVersion, kind: "TrafficPolicy", metadata: { namespace, name: "p" }, spec: { targetRef } });

  it("holds a policy to the namespace that it lies in and to the service that it is for", () => {
    const may = (resource: TrafficPolicy): boolean => mayWrite(operator, scopeOfResource(resource, undefined));
    expect(may(policy("web", { namespace: "web", name: "catalog", trustDomain: shop }))).toBe(true);
    expect(may(policy("web", { namespace: "money", name: "catalog", trustDomain: shop }))).toBe(false);
    expect(may(policy("money", { namespace: "web", name: "catalog", trustDomain: shop }))).toBe(false);
    expect(may(policy("web", { namespace: "web", name: "catalog", trustDomain: pay }))).toBe(false);
    expect(may(policy("web", { namespace: "web", name: "catalog" }))).toBe(false);
  });

  it("gives a relationship to an operator of either whole party", () => {
    const relationship = { kind: "Relationship", spec: { caller: { trustDomain: shop }, callee: { trustDomain: pay } } } as Relationship;
    const scope = scopeOfResource(relationship, undefined);
    expect(mayWrite([{ role: "operator", trustDomains: [pay] }], scope)).toBe(true);
    expect(mayWrite(operator, scope)).toBe(false);
  });

  it("gives a service to operators of its namespace in the cluster's own trust domain", () => {
    const service = { kind: "Service", metadata: { namespace: "web", name: "catalog" } } as Service;
    expect(mayWrite(operator, scopeOfResource(service, shop))).toBe(true);
    expect(mayWrite(operator, scopeOfResource(service, pay))).toBe(false);
  });
});
