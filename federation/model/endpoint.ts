import type { SpiffeId } from "./names.ts";

/** One port of one service that an instance backs. */
export interface EndpointPort {
  readonly namespace: string;
  readonly service: string;
  readonly port: number;
}

/**
 * A running instance as its cluster plane keeps it durably: it survives the plane's restart, after which it counts
 * as unknown, not gone, until its session is attached again or the window for that has passed.
 */
export interface EndpointRecord {
  /** RFC 1123 label, chosen by the proxy and stable over its restarts; unique in the cluster. */
  readonly instanceId: string;
  /** The workload's identity; a registration under the same id by another identity is refused. */
  readonly identity: SpiffeId;
  readonly ports: readonly EndpointPort[];
  /** A literal IP address and the sidecar's inbound mTLS port. */
  readonly address: string;
  readonly inboundPort: number;
  readonly zone?: string;
  /** 1 to 65535; a share relative to the other instances. */
  readonly weight: number;
  readonly ready: boolean;
  /** Wall-clock ms of the first registration under this id. */
  readonly registeredAtMs: number;
}
