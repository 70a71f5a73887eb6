import type { ClusterStatus } from "#federation/admin-api/status.ts";
import { endWords } from "./certificate-findings.ts";

/** A web certificate is named so long before its end: whoever renews it by a program has done so weeks before. */
const namedBeforeMs = 7 * 86_400_000;

/** That a plane cannot serve its trust domain's bundle, or soon cannot; nothing of one that is not to. Pure. */
export function bundleEndpointProblems(name: string, { bundleEndpoint, asOfMs }: Pick<ClusterStatus, "bundleEndpoint" | "asOfMs">): readonly string[] {
  if (bundleEndpoint === undefined) return [];
  const { profile, certificateNotAfterMs, fault } = bundleEndpoint;
  if (certificateNotAfterMs === undefined) return [`the bundle endpoint of ${name} serves nobody, for want of a certificate: ${fault ?? "there has been none yet"}`];
  const leftMs = certificateNotAfterMs - asOfMs;
  if (fault !== undefined) return [`the bundle endpoint of ${name} has no newer certificate than one that ${endWords(leftMs)}: ${fault}`];
  if (profile === "https_spiffe" || leftMs > namedBeforeMs) return [];
  return [`the web certificate of the bundle endpoint of ${name} ${endWords(leftMs)}: put a newer one into its files, which are read by themselves`];
}
