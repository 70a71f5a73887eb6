import { AtollError } from "#federation/runtime/errors.ts";
import { pathOf } from "#federation/model/spiffe-id.ts";
import type { TrustDomainName } from "#federation/model/names.ts";
import { nameOfCaller, type Caller } from "./caller.ts";

/**
 * What an operation asks of its caller. `read`: any role. `write`: an administrator, or an operator whose bounds cover what the handler
 * demands. `administer`: an administrator. `plane`: the identity of a plane, which its handler judges.
 */
export type Access = "read" | "write" | "administer" | "plane";

/** What somebody may do. A viewer reads; an operator also writes within trust domains and namespaces; an administrator does everything. */
export type Role = "viewer" | "operator" | "administrator";

/** One role of a caller. The lists bound an operator and nobody else; an absent one means all of them. */
export interface Grant {
  readonly role: Role;
  readonly trustDomains?: readonly TrustDomainName[];
  readonly namespaces?: readonly string[];
}

/** Whom a grant is for: one certificate's SPIFFE ID, or tokens whose claims have all of these values. */
export type Subject = { readonly spiffeId: string } | { readonly claims: Readonly<Record<string, string>> };

export interface Binding extends Grant {
  readonly subject: Subject;
}

/** What a write touches, as an operator's bounds are held against it. */
export interface Scope {
  /** An operator needs one of these; `all`: only one who is not bound to trust domains. */
  readonly oneOfTrustDomains: readonly TrustDomainName[] | "all";
  /** An operator needs every one of these; `all`: only one who is not bound to namespaces. */
  readonly everyNamespace: readonly string[] | "all";
}

/** What no operator may touch: the places and parties that a federation is made of. */
export const administratorsAlone: unique symbol = Symbol("administrators alone");

/** The path below which certificates are those of administrators: whoever holds the federation's issuing key makes them. */
const administratorPath = "/atoll/admin/";

/** The roles of `caller` in `federation`. Empty: a stranger. Pure, O(bindings). */
export function grantsOf(caller: Caller, bindings: readonly Binding[]): readonly Grant[] {
  const bound = bindings.filter(({ subject }) => isSubject(caller, subject));
  const isAdministrator = caller.kind === "certificate" && pathOf(caller.spiffeId).startsWith(administratorPath);
  return isAdministrator ? [{ role: "administrator" }, ...bound] : bound;
}

/** True when one of `grants` covers all of `scope`: bounds of two grants are never joined. Pure. */
export function mayWrite(grants: readonly Grant[], scope: Scope | typeof administratorsAlone): boolean {
  return grants.some((grant) => grant.role === "administrator" || (grant.role === "operator" && scope !== administratorsAlone && covers(grant, scope)));
}

/** @throws {ATOLL_ADMIN_FORBIDDEN} saying what would be needed, and what the caller has. */
export function demandWrite(caller: Caller, grants: readonly Grant[], scope: Scope | typeof administratorsAlone, what: string): void {
  if (mayWrite(grants, scope)) return;
  throw new AtollError("ATOLL_ADMIN_FORBIDDEN", `${nameOfCaller(caller)} may not ${what}: that takes ${describeNeed(scope)}, and this caller is ${describeGrants(grants)}`);
}

/** A caller's roles in words. */
export function describeGrants(grants: readonly Grant[]): string {
  return grants.length === 0 ? "bound to no role" : grants.map(describeGrant).join(", and ");
}

function isSubject(caller: Caller, subject: Subject): boolean {
  if (caller.kind === "certificate") return "spiffeId" in subject && subject.spiffeId === caller.spiffeId;
  return "claims" in subject && Object.entries(subject.claims).every(([name, value]) => Object.hasOwn(caller.claims, name) && caller.claims[name] === value);
}

function covers({ trustDomains, namespaces }: Grant, { oneOfTrustDomains, everyNamespace }: Scope): boolean {
  const hasTrustDomain = trustDomains === undefined || (oneOfTrustDomains !== "all" && oneOfTrustDomains.some((name) => trustDomains.includes(name)));
  const hasNamespaces = namespaces === undefined || (everyNamespace !== "all" && everyNamespace.every((name) => namespaces.includes(name)));
  return hasTrustDomain && hasNamespaces;
}

function describeGrant({ role, trustDomains, namespaces }: Grant): string {
  const bounds = [...(trustDomains === undefined ? [] : [`of trust domain ${trustDomains.join(", ")}`]), ...(namespaces === undefined ? [] : [`in namespace ${namespaces.join(", ")}`])];
  return role === "operator" && bounds.length > 0 ? `operator ${bounds.join(" ")}` : role;
}

function describeNeed(scope: Scope | typeof administratorsAlone): string {
  if (scope === administratorsAlone) return "an administrator";
  const domains = scope.oneOfTrustDomains === "all" ? "every trust domain" : scope.oneOfTrustDomains.join(" or ");
  const namespaces = scope.everyNamespace === "all" ? "every namespace" : scope.everyNamespace.join(" and ");
  return `an administrator, or an operator of ${domains} in ${namespaces}`;
}
