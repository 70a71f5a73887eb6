import type { ClusterStatus } from "#federation/admin-api/status.ts";
import { describeAge } from "#federation/runtime/describe-age.ts";
import { endWords } from "./certificate-findings.ts";

/** A failure is named once it has gone on for longer than an endpoint takes to be started anew. */
const failingNamedMs = 60_000;
/** So long before the last root of a trust domain ends there should be another. */
const rootsNamedBeforeMs = 14 * 86_400_000;

/** What is not as it should be with the federated trust domains of a cluster, in words. Pure. */
export function federatedProblems(name: string, { federatedTrustDomains = [], asOfMs }: Pick<ClusterStatus, "federatedTrustDomains" | "asOfMs">): readonly string[] {
  return federatedTrustDomains.flatMap(({ trustDomain, sequence, rootsNotAfterMs, fault }) => {
    if (fault?.reason === "own") return [`the FederatedTrustDomain ${trustDomain} in ${name} has no effect: ${fault.message}; delete it`];
    const rootsLeftMs = rootsNotAfterMs === undefined ? undefined : rootsNotAfterMs - asOfMs;
    return [
      ...(fault === undefined || (sequence !== undefined && asOfMs - fault.sinceMs < failingNamedMs) ? [] : [`${name} ${sequence === undefined ? `believes nobody of ${trustDomain}` : `goes on by sequence ${sequence} of the bundle of ${trustDomain}`}: for ${describeAge(asOfMs - fault.sinceMs)} it could not be fetched, ${fault.message}`]),
      ...(rootsLeftMs === undefined || rootsLeftMs > rootsNamedBeforeMs ? [] : [`the last root of ${trustDomain} that ${name} believes ${endWords(rootsLeftMs)}, and its bundle endpoint has announced no other`]),
    ];
  });
}
