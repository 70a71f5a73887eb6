import { status } from "@grpc/grpc-js";
import { createAnchors } from "#federation/identity/anchors.ts";
import { createCsr } from "#federation/identity/csr.ts";
import { createPinnedBundle, fetchPinnedRoot } from "#federation/identity/first-contact.ts";
import { decodeJoinToken } from "#federation/identity/join-token.ts";
import { createKeyPair, exportPrivateKeyPem } from "#federation/identity/key-pair.ts";
import { createX509Svid } from "#federation/identity/leaf.ts";
import type { X509Svid } from "#federation/identity/svid.ts";
import { parseClusterId, type ClusterId, type SpiffeId } from "#federation/model/names.ts";
import { pathOf, trustDomainOf } from "#federation/model/spiffe-id.ts";
import type { TrustBundle } from "#federation/model/trust-bundle.ts";
import type { Clock } from "#federation/runtime/clock.ts";
import { AtollError } from "#federation/runtime/errors.ts";
import { isAbort } from "#federation/runtime/lifecycle.ts";
import { callUnary, isServiceError, joinService } from "#federation/wire/grpc-services.ts";
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

/**
 * Exchanges a join token for the first SVID: finds the pinned root among what the server shows, connects again under it,
 * and sends the token only to a cluster's plane of that federation. Addresses are tried in order.
 * @throws {ATOLL_JOIN_TOKEN_INVALID | ATOLL_JOIN_TOKEN_REFUSED} when another try is of no use.
 * @throws {ATOLL_PEER_UNAVAILABLE | ATOLL_PEER_UNVERIFIED} and grpc-js's errors when it may be.
 */
export async function joinPlane(tokenText: string, options: { readonly clock: Clock; readonly discovery?: readonly string[] }, signal: AbortSignal): Promise<Joined> {
  const token = decodeJoinToken(tokenText);
  let failure: unknown;
  for (const address of token.addresses) {
    try {
      const bundle = createPinnedBundle(await fetchPinnedRoot(address, token.rootSha256, signal));
      return await joinAt({ address, bundle, tokenText: tokenText.trim(), ...options }, signal);
    } catch (error) {
      if (isAbort(error) || isRefusal(error)) throw error;
      failure = error;
    }
  }
  throw failure;
}

interface JoinAttempt {
  readonly address: string;
  readonly bundle: TrustBundle;
  readonly tokenText: string;
  readonly clock: Clock;
  readonly discovery?: readonly string[];
}

async function joinAt(attempt: JoinAttempt, signal: AbortSignal): Promise<Joined> {
  const { bundle, clock } = attempt;
  const keys = createKeyPair();
  let identity: SpiffeId | undefined;
  const accept = (spiffeId: SpiffeId): boolean => {
    if (trustDomainOf(spiffeId) !== bundle.trustDomain || !planePath.test(pathOf(spiffeId))) return false;
    identity = spiffeId;
    return true;
  };
  const client = createClient([attempt.address], () => ({ anchors: createAnchors([bundle]), accept }));
  try {
    const request = { token: attempt.tokenText, csr: createCsr(keys) };
    const answer = await callUnary(client, joinService.issueFirst, request, { deadlineMs: joinTimeoutMs, nowMs: clock.nowMs(), signal });
    if (identity === undefined) throw new AtollError("ATOLL_PEER_UNVERIFIED", "the plane answered without having been identified");
    const addresses = attempt.discovery ?? answer.discoveryAddresses;
    if (addresses.length === 0) throw new AtollError("ATOLL_PEER_UNAVAILABLE", "the plane did not say where its discovery port is");
    const newer = answer.bundles.find((candidate) => candidate.trustDomain === bundle.trustDomain);
    return {
      svid: createX509Svid(answer.certificateChain, exportPrivateKeyPem(keys.privateKey)),
      bundles: answer.bundles,
      plane: { addresses, identity, bundle: newer ?? bundle },
    };
  } catch (error) {
    if (isServiceError(error, status.UNAUTHENTICATED, status.PERMISSION_DENIED, status.INVALID_ARGUMENT)) {
      throw new AtollError("ATOLL_JOIN_TOKEN_REFUSED", "the plane refused the join token", { cause: error });
    }
    throw error;
  } finally {
    client.close();
  }
}

/** True for faults of the token itself, which trying again does not mend. */
export function isRefusal(error: unknown): boolean {
  return error instanceof AtollError && (error.code === "ATOLL_JOIN_TOKEN_INVALID" || error.code === "ATOLL_JOIN_TOKEN_REFUSED");
}
