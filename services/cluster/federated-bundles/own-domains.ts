import type { TrustDomainName } from "#federation/model/names.ts";
import type { ClusterSelf } from "../cluster-state.ts";

/** True for a trust domain of this federation: it speaks by its own authority or not at all, and no endpoint can speak for it. Pure. */
export function isOwnDomain(name: TrustDomainName, { trustDomain, federation }: Pick<ClusterSelf, "trustDomain" | "federation">, known: Pick<ReadonlyMap<string, unknown>, "has">): boolean {
  return name === trustDomain || (name as string) === federation || known.has(name);
}
