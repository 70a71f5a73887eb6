import { isIPv6 } from "node:net";
import { Client } from "@grpc/grpc-js";
import { createAnchors } from "#federation/identity/anchors.ts";
import { createGrpcCredentials } from "#federation/identity/grpc-credentials.ts";
import { parseAddress } from "#federation/identity/join-token.ts";
import { acceptExactly, type ClientTlsOptions } from "#federation/identity/tls-options.ts";
import type { X509Svid } from "#federation/identity/svid.ts";
import type { SpiffeId } from "#federation/model/names.ts";
import type { TrustBundle } from "#federation/model/trust-bundle.ts";
import { discoveryMessageBytesMax } from "#federation/wire/limits.ts";

/** The plane that this proxy belongs to: where it is, who it is, and the roots of its trust domain. */
export interface Plane {
  /** `host:port` of its discovery port. */
  readonly addresses: readonly string[];
  readonly identity: SpiffeId;
  /** The federation's bundle: planes belong to its trust domain, never to a workload's. */
  readonly bundle: TrustBundle;
}

/** Half-open links are noticed within 13 s; a plane may be told so often, since it allows pings without calls. */
const channelOptions = {
  "grpc.keepalive_time_ms": 10_000,
  "grpc.keepalive_timeout_ms": 3_000,
  "grpc.keepalive_permit_without_calls": 1,
  "grpc.initial_reconnect_backoff_ms": 250,
  "grpc.max_reconnect_backoff_ms": 15_000,
  "grpc.max_receive_message_length": discoveryMessageBytesMax,
};

/** A gRPC client of the plane's discovery port: mutual TLS by the SVID of the moment, exactly that plane. Close it when done. */
export function createPlaneClient(plane: Plane, svid: () => X509Svid | undefined): Client {
  const anchors = createAnchors([plane.bundle]);
  const accept = acceptExactly([plane.identity]);
  return createClient(plane.addresses, () => {
    const current = svid();
    return current === undefined ? undefined : { svid: current, anchors, accept };
  });
}

/** A client whose identity and expectations `current` says at each connection. */
export function createClient(addresses: readonly string[], current: () => ClientTlsOptions | undefined): Client {
  return new Client(grpcTarget(addresses), createGrpcCredentials(current), channelOptions);
}

/** grpc-js takes several addresses of one family; the family of the first decides. */
function grpcTarget(addresses: readonly string[]): string {
  const parsed = addresses.map((address) => ({ address, host: parseAddress(address)?.host ?? "" }));
  const isSix = isIPv6(parsed[0]?.host ?? "");
  const chosen = parsed.filter(({ host }) => isIPv6(host) === isSix).map(({ address }) => address);
  return `${isSix ? "ipv6" : "ipv4"}:${chosen.join(",")}`;
}
