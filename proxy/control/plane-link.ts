import { Client } from "@grpc/grpc-js";
import { createAnchors } from "#federation/identity/anchors.ts";
import { createGrpcCredentials } from "#federation/identity/grpc-credentials.ts";
import { acceptExactly, type ClientTlsOptions } from "#federation/identity/tls-options.ts";
import type { X509Svid } from "#federation/identity/svid.ts";
import type { SpiffeId } from "#federation/model/names.ts";
import type { TrustBundle } from "#federation/model/trust-bundle.ts";
import { discoveryMessageBytesMax } from "#federation/wire/limits.ts";
import { dialingOptions, hostsTarget, type Dialing } from "./host-resolver.ts";

/** The plane that this proxy belongs to: where it is, who it is, and the roots of its trust domain. */
export interface Plane {
  /** `host:port` of its discovery port; a host may be a name. */
  readonly addresses: readonly string[];
  /** `host:port` of its join port, as the voucher named it that this proxy joined by; a host may be a name. */
  readonly joinAddresses: readonly string[];
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
  "grpc.max_reconnect_backoff_ms": 4_000,
  "grpc.max_receive_message_length": discoveryMessageBytesMax,
  // Clients have credentials of their own and never share a connection: looking for one among those of all others takes time with their square.
  "grpc.use_local_subchannel_pool": 1,
};

/** How a plane is reached. */
export interface PlaneDialing extends Dialing {
  /** How long a ping may stay unanswered; 3 s unless given. */
  readonly pingTimeoutMs?: number;
}

/** A gRPC client of the plane's discovery port: mutual TLS by the SVID of the moment, exactly that plane. Close it when done. */
export function createPlaneClient(plane: Plane, svid: () => X509Svid | undefined, dialing: PlaneDialing): Client {
  const anchors = createAnchors([plane.bundle]);
  const accept = acceptExactly([plane.identity]);
  const tls = (): ClientTlsOptions | undefined => {
    const current = svid();
    return current === undefined ? undefined : { svid: current, anchors, accept };
  };
  return createClient(plane.addresses, tls, dialing);
}

/** A client whose identity and expectations `current` says at each connection. Names among `addresses` are looked up, and looked up again when a connection has ended. */
export function createClient(addresses: readonly string[], current: () => ClientTlsOptions | undefined, dialing: PlaneDialing): Client {
  const { pingTimeoutMs = channelOptions["grpc.keepalive_timeout_ms"] } = dialing;
  return new Client(hostsTarget(addresses), createGrpcCredentials(current), { ...channelOptions, "grpc.keepalive_timeout_ms": pingTimeoutMs, ...dialingOptions(dialing) });
}
