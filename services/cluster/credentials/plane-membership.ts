import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { joinAnswerSchema, joinPath, type JoinAnswer, type JoinRequest, type TrustDomainStatement } from "#federation/admin-api/join-contract.ts";
import { createAnchors } from "#federation/identity/anchors.ts";
import { createCsr } from "#federation/identity/csr.ts";
import { createPinnedBundle, fetchPinnedRoot } from "#federation/identity/first-contact.ts";
import { decodeJoinProof } from "#federation/identity/join-proof.ts";
import { openVoucher, type JoinSource, type JoinVoucher } from "#federation/identity/join-voucher.ts";
import { forgetJoiningKey, keepJoiningKey } from "#federation/identity/joining-key.ts";
import { exportPrivateKeyPem } from "#federation/identity/key-pair.ts";
import { createX509Svid } from "#federation/identity/leaf.ts";
import { fetchMeshJson } from "#federation/identity/mesh-request.ts";
import { parseChainPem } from "#federation/identity/pem.ts";
import { loadIdentity, saveSvid } from "#federation/identity/svid-files.ts";
import type { X509Svid } from "#federation/identity/svid.ts";
import { acceptExactly } from "#federation/identity/tls-options.ts";
import { createSpiffeId } from "#federation/model/spiffe-id.ts";
import type { TrustBundle } from "#federation/model/trust-bundle.ts";
import { deadlineSignal, type Clock } from "#federation/runtime/clock.ts";
import { AtollError, describeError, isAtollError } from "#federation/runtime/errors.ts";
import { writePrivateFileSync } from "#federation/runtime/private-file.ts";

/** What a plane became by joining: who it is in the federation, and its certificate there. */
export interface PlaneMembership {
  readonly facts: Omit<JoinAnswer, "certificateChainPem">;
  readonly svid: X509Svid;
  /** The federation's own trust domain. */
  readonly federationBundle: TrustBundle;
}

export interface MembershipOptions {
  readonly dataDir: string;
  readonly cluster: string;
  readonly source: JoinSource;
  /** Brought by the plane that holds its trust domain's signer. */
  readonly statement: TrustDomainStatement | undefined;
  readonly clock: Clock;
}

const factsFile = "membership.json";
const joinTimeoutMs = 10_000;

/** Whether this plane has joined once, whatever became of what it got. */
export function hasJoined(dataDir: string): boolean {
  return existsSync(join(dataDir, factsFile));
}

/** Whether this plane has been further than its first start: what that made, and told others, is not to be made again. */
export function hasServed(dataDir: string): boolean {
  return hasJoined(dataDir) || existsSync(join(dataDir, "ca"));
}

/** The membership on disk, or undefined before the first joining. @throws {ATOLL_CONFIG_INVALID} when it is damaged */
export async function loadMembership(dataDir: string): Promise<PlaneMembership | undefined> {
  if (!hasJoined(dataDir)) return undefined;
  const path = join(dataDir, factsFile);
  const parsed = joinAnswerSchema.omit({ certificateChainPem: true }).safeParse(jsonOf(readFileSync(path, "utf8")));
  if (!parsed.success) throw new AtollError("ATOLL_CONFIG_INVALID", `${path} cannot be read as what joining wrote; join again with a new token`);
  const { svid } = await loadIdentity(join(dataDir, "plane"));
  if (svid === undefined) throw new AtollError("ATOLL_CONFIG_INVALID", `${dataDir} lost the plane's certificate; join again with a new token`);
  return { facts: parsed.data, svid, federationBundle: bundleOf(parsed.data) };
}

/**
 * Joins the federation by a token or by evidence: the server is known by its root's hash, the private key never leaves this process
 * but into its own file. It lies there before the first try, and stays the same until joining has succeeded, so that tries and restarts
 * are one use of a token for many; to an attested document the plane stays the same instance also after that.
 * @throws {ATOLL_JOIN_TOKEN_INVALID | ATOLL_EVIDENCE_UNAVAILABLE | ATOLL_JOIN_TOKEN_REFUSED | ATOLL_PEER_UNVERIFIED | ATOLL_PEER_UNAVAILABLE | ATOLL_CONFIG_INVALID}
 */
export async function joinFederation(options: MembershipOptions, signal: AbortSignal): Promise<PlaneMembership> {
  const voucher = await openVoucher(options.source);
  const keyFile = join(options.dataDir, "plane", "joining.key");
  const keys = await keepJoiningKey(keyFile);
  const request: JoinRequest = {
    ...wordsOf(await voucher.prove(signal)),
    csr: createCsr(keys).toString("base64"),
    ...(options.statement === undefined ? {} : { trustDomain: options.statement }),
  };
  const { certificateChainPem, ...facts } = await askEach(voucher, request, options.clock, signal);
  if (facts.cluster !== options.cluster) {
    throw new AtollError("ATOLL_CONFIG_INVALID", `this joined as the cluster ${facts.cluster}, the configuration is that of ${options.cluster}`);
  }
  const svid = createX509Svid(parseChainPem(certificateChainPem), exportPrivateKeyPem(keys.privateKey));
  await saveSvid(join(options.dataDir, "plane"), svid);
  saveFacts(options.dataDir, facts);
  if (!voucher.isLasting) await forgetJoiningKey(keyFile);
  return { facts, svid, federationBundle: bundleOf(facts) };
}

/** Writes what `loadMembership` reads, besides the certificate. */
export function saveFacts(dataDir: string, facts: PlaneMembership["facts"]): void {
  writePrivateFileSync(join(dataDir, factsFile), JSON.stringify(facts));
}

/** A proof as the request says it: id and secret of a token apart, as planes know them that have never heard of attestation. */
function wordsOf(text: string): Pick<JoinRequest, "tokenId" | "secret" | "attestation"> {
  const proof = decodeJoinProof(text);
  return proof.kind === "attestation" ? { attestation: text } : { tokenId: proof.id, secret: Buffer.from(proof.secret).toString("base64url") };
}

async function askEach({ addresses, rootSha256, isLasting }: JoinVoucher, request: JoinRequest, clock: Clock, signal: AbortSignal): Promise<JoinAnswer> {
  const failures: string[] = [];
  for (const address of addresses) {
    using deadline = deadlineSignal(clock, joinTimeoutMs, signal);
    try {
      return await ask(address, rootSha256, request, deadline.signal);
    } catch (error) {
      if (isLasting && isAtollError(error, "ATOLL_JOIN_TOKEN_REFUSED")) throw new AtollError(error.code, "joining was refused: no rule of the global plane's attestation gives a cluster for what is attested here", { cause: error });
      // Whoever answered has used the token up: asking the next address would only hide why.
      if (!(error instanceof AtollError) || error.code !== "ATOLL_PEER_UNAVAILABLE") throw error;
      failures.push(`${address}: ${describeError(error)}`);
    }
  }
  throw new AtollError("ATOLL_PEER_UNAVAILABLE", `no address to join at could be reached (${failures.join("; ")})`);
}

async function ask(address: string, rootSha256: string, request: JoinRequest, signal: AbortSignal): Promise<JoinAnswer> {
  const bundle = createPinnedBundle(await fetchPinnedRoot(address, rootSha256, signal));
  const tls = { anchors: createAnchors([bundle]), accept: acceptExactly([createSpiffeId(bundle.trustDomain, "atoll", "plane", "global")]) };
  const { status, json } = await fetchMeshJson({ url: `https://${address}${joinPath}`, method: "POST", json: request, tls }, signal);
  if (status === 403) throw new AtollError("ATOLL_JOIN_TOKEN_REFUSED", "the join token was refused: it has been used, has expired or was revoked, or is not for this plane or address; make a new one");
  const parsed = joinAnswerSchema.safeParse(json);
  if (status === 429) throw new AtollError("ATOLL_JOIN_OVERLOADED", "the global plane takes no more attempts to join just now; try again in a minute");
  if (status !== 200 || !parsed.success) throw new AtollError("ATOLL_REQUEST_INVALID", `the global plane at ${address} refused the join (${status}: ${detailOf(json)})`);
  return parsed.data;
}

function detailOf(json: unknown): string {
  return typeof json === "object" && json !== null && "detail" in json && typeof json.detail === "string" ? json.detail : "no reason given";
}

function bundleOf(facts: Pick<JoinAnswer, "federationRootPem">): TrustBundle {
  const [root = new Uint8Array()] = parseChainPem(facts.federationRootPem);
  return createPinnedBundle(root);
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
