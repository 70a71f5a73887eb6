import { apiVersion, type Service, type ServiceExport, type TrafficPolicy } from "#federation/model/resource.ts";

/** A version is told by a number that every plane shows: a policy's time limit, a service's port, each this much above it. */
const offset = 1_000;

/** Writes of one register at most: its versions stay ports. */
export const versionMax = 10_000;

export function policyOf(name: string, version: number): TrafficPolicy {
  return { apiVersion, kind: "TrafficPolicy", metadata: { namespace: "web", name }, spec: { targetRef: { namespace: "web", name }, timeouts: { requestMs: offset + version } } };
}

export function serviceOf(name: string, version: number): Service {
  return { apiVersion, kind: "Service", metadata: { namespace: "web", name }, spec: { ports: [{ name: "http", port: offset + version, protocol: "http" }], serviceAccounts: [name] } };
}

export function exportOf(name: string): ServiceExport {
  return { apiVersion, kind: "ServiceExport", metadata: { namespace: "web", name }, spec: {} };
}

export function versionOfRequestMs(requestMs: number): number {
  return requestMs - offset;
}

export function versionOfPort(port: number): number {
  return port - offset;
}
