import type { ServiceHost } from "#federation/model/names.ts";
import type { ServicePort } from "#federation/model/service.ts";
import type { ServiceView } from "#federation/model/snapshot.ts";

/** What a Host header leads to. */
export interface RouteTarget {
  readonly service: ServiceView;
  readonly port: ServicePort;
}

/** Every name, and `name:port`, under which a service of a snapshot can be called. Built once for each snapshot. */
export type RouteTable = ReadonlyMap<string, RouteTarget>;

/** Longest Host that is looked at: 253 characters of DNS name (RFC 1035 §2.3.4), a dot, a colon and five digits. */
const hostLengthMax = 260;

/**
 * The route table of `services`. A service's own host always wins over another's alias, and of two services with
 * one alias the one whose host sorts first has it, so that every proxy decides alike. Services without a port are
 * left out.
 */
export function buildRouteTable(services: ReadonlyMap<ServiceHost, ServiceView>): RouteTable {
  const table = new Map<string, RouteTarget>();
  const ordered = [...services.values()].sort((left, right) => (left.host < right.host ? -1 : 1));
  for (const service of ordered) addName(table, service.host, service);
  for (const service of ordered) {
    for (const alias of service.aliases) addName(table, alias, service);
  }
  return table;
}

function addName(table: Map<string, RouteTarget>, name: string, service: ServiceView): void {
  if (table.has(name)) return;
  const main = defaultPort(service);
  if (main === undefined) return;
  table.set(name, { service, port: main });
  for (const port of service.ports) table.set(`${name}:${port.port}`, { service, port });
}

/** The port meant by a Host without one: 80 where the service has it, else its first HTTP port, else its first. */
function defaultPort(service: ServiceView): ServicePort | undefined {
  return service.ports.find((port) => port.port === 80) ?? service.ports.find((port) => port.protocol === "http") ?? service.ports[0];
}

/**
 * The service and port that `host` (a Host header or :authority) names, or undefined: a port that the service does not have names
 * nothing. `ownPort`, where the client was pointed at the proxy by the service's name and sends the port of that, means the default port.
 * Allocates nothing when the name is in canonical form already.
 */
export function matchRoute(table: RouteTable, host: string, ownPort?: number): RouteTarget | undefined {
  const exact = table.get(host);
  if (exact !== undefined) return exact;
  const canonical = canonicalizeHost(host);
  const port = portOf(host);
  if (port === "") return targetOf(table, canonical, "");
  return targetOf(table, canonical, `:${Number(port)}`) ?? (Number(port) === ownPort ? targetOf(table, canonical, "") : undefined);
}

/** What workloads of a Kubernetes cluster call a service besides `name.namespace`, which alone stands in the table. */
const kubernetesSuffixes = [".svc.cluster.local", ".svc"] as const;

/** `port` with its colon, or nothing. A name in the table wins over what another one is short for. */
function targetOf(table: RouteTable, name: string, port: string): RouteTarget | undefined {
  const target = table.get(name + port);
  if (target !== undefined) return target;
  const suffix = kubernetesSuffixes.find((candidate) => name.endsWith(candidate));
  return suffix === undefined ? undefined : table.get(name.slice(0, -suffix.length) + port);
}

/**
 * `host` in the one form by which the router and the authorizer know it: lower case, without port, without one
 * trailing dot. Empty when it is no usable name: empty, too long, an IPv6 literal, or with anything after the colon but digits.
 */
export function canonicalizeHost(host: string): string {
  if (host.length === 0 || host.length > hostLengthMax) return "";
  const colon = host.indexOf(":");
  if (colon !== -1 && !isPort(host, colon + 1)) return "";
  let end = colon === -1 ? host.length : colon;
  if (end > 0 && host.charCodeAt(end - 1) === 0x2e) end--;
  const name = end === host.length ? host : host.slice(0, end);
  return isLowerCase(name) ? name : name.toLowerCase();
}

function portOf(host: string): string {
  const colon = host.indexOf(":");
  return colon !== -1 && isPort(host, colon + 1) ? host.slice(colon + 1) : "";
}

/** An empty port is allowed by RFC 3986 §3.2.3 and means the default one. */
function isPort(text: string, from: number): boolean {
  if (text.length - from > 5) return false;
  for (let at = from; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code < 0x30 || code > 0x39) return false;
  }
  return true;
}

function isLowerCase(text: string): boolean {
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if ((code >= 0x41 && code <= 0x5a) || code > 0x7e) return false;
  }
  return true;
}
