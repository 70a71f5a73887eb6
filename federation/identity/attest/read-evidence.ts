import { readFile, stat } from "node:fs/promises";
import type { AttestationKind } from "#federation/model/attestation.ts";
import { attestationLimits } from "#federation/model/attestation.ts";
import { AtollError, describeError } from "#federation/runtime/errors.ts";
import type { EvidenceSource } from "./evidence-config.ts";
import { askMetadata } from "./metadata.ts";

/**
 * The document that others have signed for this process, fetched or read anew: orchestrators replace it in time, and clouds make it
 * when they are asked. It is a secret while it may be used.
 * @throws {ATOLL_EVIDENCE_UNAVAILABLE} when it cannot be had now. @throws {ATOLL_ABORTED}
 */
export async function readEvidence(source: EvidenceSource, signal: AbortSignal): Promise<{ readonly kind: AttestationKind; readonly document: string }> {
  return { kind: source.kind, document: await documentOf(source, signal) };
}

async function documentOf(source: EvidenceSource, signal: AbortSignal): Promise<string> {
  if (source.kind === "kubernetes") return await readTokenFile(source.tokenFile, signal);
  return await askGoogle(source, signal);
}

/** @see https://cloud.google.com/compute/docs/instances/verifying-instance-identity#request_signature */
async function askGoogle({ metadataUrl, audience }: Extract<EvidenceSource, { readonly kind: "google" }>, signal: AbortSignal): Promise<string> {
  const query = new URLSearchParams({ audience, format: "full" }).toString();
  return await askMetadata({ url: `${metadataUrl}/computeMetadata/v1/instance/service-accounts/default/identity?${query}`, headers: { "metadata-flavor": "Google" } }, signal);
}

async function readTokenFile(path: string, signal: AbortSignal): Promise<string> {
  try {
    if ((await stat(path)).size > attestationLimits.documentLength) throw new RangeError(`it is longer than ${attestationLimits.documentLength} bytes`);
    return (await readFile(path, { encoding: "utf8", signal })).trim();
  } catch (cause) {
    signal.throwIfAborted();
    throw new AtollError("ATOLL_EVIDENCE_UNAVAILABLE", `the token in ${path} cannot be read: ${describeError(cause)}`, { cause });
  }
}
