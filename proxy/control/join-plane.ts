import { isIP } from "node:net";
import { status, type Client } from "@grpc/grpc-js";
import { createAnchors } from "#federation/identity/anchors.ts";
import { createCsr } from "#federation/identity/csr.ts";
import { createPinnedBundle, fetchPinnedRoot } from "#federation/identity/first-contact.ts";
import { parseAddress } from "#federation/identity/join-token.ts";
import type { JoinVoucher } from "#federation/identity/join-voucher.ts";
import { createKeyPair, exportPrivateKeyPem, type KeyPair } from "#federation/identity/key-pair.ts";
import { createX509Svid } from "#federation/identity/leaf.ts";
import type { X509Svid } from "#federation/identity/svid.ts";
import { parseClusterId, type ClusterId, type SpiffeId } from "#federation/model/names.ts";
import { pathOf, trustDomainOf } from "#federation/model/spiffe-id.ts";
import type { TrustBundle } from "#federation/model/trust-bundle.ts";
import type { Clock } from "#federation/runtime/clock.ts";
import { hostPort } from "#federation/runtime/dns/host-name.ts";
import { createDnsLookup, type NameLookup } from "#federation/runtime/dns/name-lookup.ts";
import { AtollError } from "#federation/runtime/errors.ts";
import { isAbort } from "#federation/runtime/lifecycle.ts";
import { callUnary, isServiceError, joinService, type CallLimits } from "#federation/wire/grpc-services.ts";
import type { IdentityResponse } from "#federation/wire/workload-messages.ts";
import { keyRenewalRequest, refuseOther } from "./key-proof.ts";
import { createClient, type Plane } from "./plane-link.ts";

/** What joining gives: an identity, the roots to meet others by, and the plane to stay with. */
export interface Joined {
  readonly svid: X509Svid;
  readonly bundles: readonly TrustBundle[];
  readonly plane: Plane;
}

const joinTimeoutMs = 10_000;
const planePath = /^\/atoll\/plane\/cluster\/([^/]+)$/;

/** The cluster whose plane `identity` is. @throws {ATOLL_PEER_UNVERIFIED} for any other identity. */
export function clusterOfPlane(identity: SpiffeId): ClusterId {
  const match = planePath.exec(pathOf(identity));
  if (match?.[1] === undefined) throw new AtollError("ATOLL_PEER_UNVERIFIED", `${identity} is not the plane of a cluster`);
  return parseClusterId(match[1]);
}

export interface JoinOptions {
  readonly clock: Clock;
  /** Where discovery is, whatever the plane says. */
  readonly discovery?: readonly string[];
  /** How names in the voucher are looked up; the system's resolvers unless given. */
  readonly lookup?: NameLookup;
}

/**
 * Exchanges a token or evidence for the first SVID: finds the pinned root among what the server shows, connects again under it,
 * and sends the proof only to a cluster's plane of that federation. Addresses are tried in order, of a name all, and all with the
 * same key; a caller that keeps `keys` over its attempts is one instance to a token for many, also when an answer was lost.
 * @throws {ATOLL_JOIN_TOKEN_INVALID | ATOLL_JOIN_TOKEN_REFUSED} when another try is of no use.
 * @throws {ATOLL_EVIDENCE_UNAVAILABLE | ATOLL_NAME_UNRESOLVED | ATOLL_PEER_UNAVAILABLE | ATOLL_PEER_UNVERIFIED} and grpc-js's errors when it may be.
 */
export async function joinPlane(voucher: JoinVoucher, { keys = createKeyPair(), ...dialing }: JoinOptions & { readonly keys?: KeyPair }, signal: AbortSignal): Promise<Joined> {
  const request = { token: await voucher.prove(signal), csr: createCsr(keys) };
  const refusal = voucher.isLasting ? "no rule of the plane's attestation gives an identity for what is attested here" : "the plane refused the join token";
  return meetPlane(voucher, { ask: (client, call) => callUnary(client, joinService.issueFirst, request, call), keys, refusal }, dialing, signal);
}

/**
 * Finds the plane again, by what the voucher pins, for a proxy that has an SVID and does not know any more whose it is: proves itself by
 * that one's key, which may have ended, and not by a token, which is used.
 * @throws as `joinPlane`. @throws {ATOLL_CERTIFICATE_INVALID}
 */
export async function returnToPlane(voucher: JoinVoucher, svid: X509Svid, dialing: JoinOptions, signal: AbortSignal): Promise<Joined> {
  const keys = createKeyPair();
  const request = keyRenewalRequest(svid, createCsr(keys));
  const refusal = "the plane does not renew this identity by its key";
  const joined = await meetPlane(voucher, { ask: (client, call) => callUnary(client, joinService.renewByKey, request, call), keys, refusal }, dialing, signal);
  refuseOther(joined.svid, svid);
  return joined;
}

/** What is asked at a join port. */
interface Asking {
  readonly ask: (client: Client, call: CallLimits) => Promise<IdentityResponse>;
  /** That the answer's SVID is for. */
  readonly keys: KeyPair;
  /** What it means that the plane refuses. */
  readonly refusal: string;
}

async function meetPlane(voucher: JoinVoucher, asking: Asking, options: JoinOptions, signal: AbortSignal): Promise<Joined> {
  const { lookup = createDnsLookup() } = options;
  const joinAddresses = voucher.addresses;
  let failure: unknown;
  for await (const address of literalAddresses(joinAddresses, lookup, signal)) {
    try {
      if (typeof address !== "string") throw address;
      const bundle = createPinnedBundle(await fetchPinnedRoot(address, voucher.rootSha256, signal));
      return await askAt({ ...options, ...asking, address, joinAddresses, bundle, lookup }, signal);
    } catch (error) {
      if (isAbort(error) || isRefusal(error)) throw error;
      failure = error;
    }
  }
  throw failure;
}

/** `addresses` with every address of each name in its place; an error stands for a name that does not resolve. */
async function* literalAddresses(addresses: readonly string[], lookup: NameLookup, signal: AbortSignal): AsyncGenerator<string | AtollError, void, undefined> {
  for (const address of addresses) {
    const target = parseAddress(address);
    if (target === undefined || isIP(target.host) !== 0) {
      yield address;
      continue;
    }
    const { v4, v6 } = await lookup(target.host, signal);
    const found = [v4, v6].flatMap((family) => (family.kind === "found" ? family.addresses : []));
    if (found.length === 0) yield new AtollError("ATOLL_NAME_UNRESOLVED", `${target.host} that joining is to go to does not resolve`);
    for (const literal of found) yield hostPort(literal, target.port);
  }
}

interface Attempt extends Asking {
  readonly address: string;
  readonly joinAddresses: readonly string[];
  readonly bundle: TrustBundle;
  readonly clock: Clock;
  readonly lookup: NameLookup;
  readonly discovery?: readonly string[];
}

async function askAt({ address, joinAddresses, bundle, clock, lookup, discovery, ask, keys, refusal }: Attempt, signal: AbortSignal): Promise<Joined> {
  let identity: SpiffeId | undefined;
  const accept = (spiffeId: SpiffeId): boolean => {
    if (trustDomainOf(spiffeId) !== bundle.trustDomain || !planePath.test(pathOf(spiffeId))) return false;
    identity = spiffeId;
    return true;
  };
  const client = createClient([address], () => ({ anchors: createAnchors([bundle]), accept }), { clock, lookup });
  try {
    const answer = await ask(client, { deadlineMs: joinTimeoutMs, nowMs: clock.nowMs(), signal });
    if (identity === undefined) throw new AtollError("ATOLL_PEER_UNVERIFIED", "the plane answered without having been identified");
    const addresses = discovery ?? answer.discoveryAddresses;
    if (addresses.length === 0) throw new AtollError("ATOLL_PEER_UNAVAILABLE", "the plane did not say where its discovery port is");
    const newer = answer.bundles.find((candidate) => candidate.trustDomain === bundle.trustDomain);
    return {
      svid: createX509Svid(answer.certificateChain, exportPrivateKeyPem(keys.privateKey)),
      bundles: answer.bundles,
      plane: { addresses, joinAddresses, identity, bundle: newer ?? bundle },
    };
  } catch (error) {
    if (isServiceError(error, status.UNAUTHENTICATED, status.PERMISSION_DENIED, status.INVALID_ARGUMENT)) throw new AtollError("ATOLL_JOIN_TOKEN_REFUSED", refusal, { cause: error });
    throw error;
  } finally {
    client.close();
  }
}

/** True for faults of the token itself, which trying again does not mend. */
export function isRefusal(error: unknown): boolean {
  return error instanceof AtollError && (error.code === "ATOLL_JOIN_TOKEN_INVALID" || error.code === "ATOLL_JOIN_TOKEN_REFUSED");
}
