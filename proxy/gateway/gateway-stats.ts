import type { HelloFault } from "./client-hello.ts";

/** Why the gateway closed a connection without passing it on, or after. */
export type GatewayRefusal = HelloFault | "helloTimeout" | "unknownName" | "noEndpoint" | "connectFailed" | "tooManyConnections";

/** Counters of a gateway, written by it and read by the metrics. */
export interface GatewayStats {
  accepted: number;
  active: number;
  bytesIn: number;
  bytesOut: number;
  connectFailures: number;
  retried: number;
  resets: number;
  pingConnections: number;
  pings: number;
  readonly refused: Map<GatewayRefusal, number>;
}

export function createGatewayStats(): GatewayStats {
  return { accepted: 0, active: 0, bytesIn: 0, bytesOut: 0, connectFailures: 0, retried: 0, resets: 0, pingConnections: 0, pings: 0, refused: new Map() };
}

/** Counts a refusal. */
export function countRefusal(stats: GatewayStats, refusal: GatewayRefusal): void {
  stats.refused.set(refusal, (stats.refused.get(refusal) ?? 0) + 1);
}
