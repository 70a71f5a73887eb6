import { readFile, stat } from "node:fs/promises";
import type { AttestationKind } from "#federation/model/attestation.ts";
import { attestationLimits } from "#federation/model/attestation.ts";
import { AtollError, describeError } from "#federation/runtime/errors.ts";
import type { EvidenceSource } from "./evidence-config.ts";
import { recordOf } from "./attestor.ts";
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
  if (source.kind === "aws") return await askAws(source.metadataUrl, signal);
  return await (source.kind === "google" ? askGoogle(source, signal) : askAzure(source.metadataUrl, signal));
}

/** @see https://cloud.google.com/compute/docs/instances/verifying-instance-identity#request_signature */
async function askGoogle({ metadataUrl, audience }: Extract<EvidenceSource, { readonly kind: "google" }>, signal: AbortSignal): Promise<string> {
  const query = new URLSearchParams({ audience, format: "full" }).toString();
  return await askMetadata({ url: `${metadataUrl}/computeMetadata/v1/instance/service-accounts/default/identity?${query}`, headers: { "metadata-flavor": "Google" } }, signal);
}

/** By a session, as machines that allow nothing older want it. @see https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/configuring-instance-metadata-service.html */
async function askAws(metadataUrl: string, signal: AbortSignal): Promise<string> {
  const session = await askMetadata({ url: `${metadataUrl}/latest/api/token`, method: "PUT", headers: { "x-aws-ec2-metadata-token-ttl-seconds": "60" } }, signal);
  const lines = await askMetadata({ url: `${metadataUrl}/latest/dynamic/instance-identity/rsa2048`, headers: { "x-aws-ec2-metadata-token": session } }, signal);
  return lines.replaceAll(/\s/g, "");
}

/** @see https://learn.microsoft.com/azure/virtual-machines/instance-metadata-service#attested-data */
async function askAzure(metadataUrl: string, signal: AbortSignal): Promise<string> {
  const answer = await askMetadata({ url: `${metadataUrl}/metadata/attested/document?api-version=2020-09-01`, headers: { metadata: "true" } }, signal);
  try {
    const { encoding, signature } = recordOf(JSON.parse(answer));
    if (encoding === "pkcs7" && typeof signature === "string") return signature;
  } catch {
    // Told below, without the text that JSON's error would quote.
  }
  throw new AtollError("ATOLL_EVIDENCE_UNAVAILABLE", "the metadata service answered no attested document in the form pkcs7");
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
