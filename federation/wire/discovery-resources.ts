import { isIP } from "node:net";
import { isDnsName } from "#federation/runtime/dns/host-name.ts";
import { AtollError } from "#federation/runtime/errors.ts";
import type { Locality } from "#federation/model/locality.ts";
import { parseClusterId, parseLabel, parseRegionId } from "#federation/model/names.ts";
import type { ServiceHost } from "#federation/model/names.ts";
import { serviceHost } from "#federation/model/service.ts";
import type { PortProtocol, ServicePort, ServiceRef } from "#federation/model/service.ts";
import type { CallerRule, EndpointView, GatewayAddress, GatewayRoute, InboundPort, Place, Readiness, ServiceView } from "#federation/model/snapshot.ts";
import { parseSpiffeId, parseTrustDomainName } from "#federation/model/spiffe-id.ts";
import { jwtAuthoritiesMax, jwtKeyIdLengthMax, withJwtAuthorities, type JwtAuthority, type TrustBundle } from "#federation/model/trust-bundle.ts";
import { isP256Spki } from "#federation/runtime/p256-signature.ts";
import { certificatesMax, listItemsMax, resourceBytesMax } from "./limits.ts";
import { boundedList, boundedText, certificateList, copied, exactNumber, mapped, messageCodec, portNumber, required } from "./schema.ts";
import { trafficPolicyFields, trafficPolicyOf } from "./traffic-policy-fields.ts";
import type { RawTrafficPolicy } from "./traffic-policy-fields.ts";

/** The type URLs of the resources that Atoll's own proxies subscribe to. */
export const resourceTypeUrls = {
  service: "type.googleapis.com/atoll.discovery.v1.Service",
  bundle: "type.googleapis.com/atoll.discovery.v1.Bundle",
  inbound: "type.googleapis.com/atoll.discovery.v1.Inbound",
  gatewayRoute: "type.googleapis.com/atoll.discovery.v1.GatewayRoute",
} as const;

/** One of `resourceTypeUrls`. */
export type ResourceTypeUrl = (typeof resourceTypeUrls)[keyof typeof resourceTypeUrls];

const readinessNumbers = { unknown: 0, ready: 1, notReady: 2 } as const satisfies Record<Readiness, number>;
const readinessNames: readonly Readiness[] = ["unknown", "ready", "notReady"];

interface RawRef {
  readonly namespace: string;
  readonly name: string;
  readonly trustDomain: string;
}
interface RawEndpoint {
  readonly id: string;
  readonly address: string;
  readonly port: number;
  readonly locality: { readonly region: string; readonly zone: string } | null;
  readonly weight: number;
  readonly readiness: number;
}
interface RawGateway {
  readonly address: string;
  readonly port: number;
}
interface RawPlace {
  readonly cluster: string;
  readonly region: string;
  readonly local?: { readonly endpoints: readonly RawEndpoint[] } | null;
  readonly remote?: {
    readonly gateways: readonly RawGateway[];
    readonly gatewayNames: readonly RawGateway[];
    readonly gatewayIdentity: string;
    readonly endpointsReady: number;
    readonly endpointsUnknown?: number;
    readonly endpointsTotal: number;
    readonly asOfMs: number;
  } | null;
}
interface RawPort {
  readonly name: string;
  readonly port: number;
  readonly protocol: string;
}
interface RawService {
  readonly ref: RawRef | null;
  readonly aliases: readonly string[];
  readonly ports: readonly RawPort[];
  readonly serverIdentities: readonly string[];
  readonly policy: RawTrafficPolicy | null;
  readonly places: readonly RawPlace[];
}
interface RawBundle {
  readonly trustDomain: string;
  readonly sequence: number;
  readonly refreshHintSeconds: number;
  readonly x509Authorities: readonly Uint8Array[];
  /** Only discovery's message has them. */
  readonly jwtAuthorities?: readonly JwtAuthority[];
  readonly federated?: boolean;
}
interface RawInbound {
  readonly ref: RawRef | null;
  readonly port: RawPort | null;
  readonly callers: readonly { readonly trustDomain: string; readonly principals: readonly string[] }[];
}
interface RawGatewayRoute {
  readonly host: string;
  readonly endpoints: readonly RawEndpoint[];
}

const serviceCodec = messageCodec<RawService>("atoll.discovery.v1.Service", resourceBytesMax);
const bundleCodec = messageCodec<RawBundle>("atoll.discovery.v1.Bundle", resourceBytesMax);
const inboundCodec = messageCodec<RawInbound>("atoll.discovery.v1.Inbound", resourceBytesMax);
const gatewayRouteCodec = messageCodec<RawGatewayRoute>("atoll.discovery.v1.GatewayRoute", resourceBytesMax);

/** The payload of a Service resource. Its name is `view.host`. */
export function encodeService(view: ServiceView): Uint8Array {
  return serviceCodec.encode({
    ref: view.ref,
    aliases: view.aliases,
    ports: view.ports,
    serverIdentities: view.serverIdentities,
    policy: trafficPolicyFields(view.policy),
    places: view.places.map(placeFields),
  });
}

/** @throws {ATOLL_WIRE_INVALID | ATOLL_WIRE_TOO_LARGE} */
export function decodeService(bytes: Uint8Array): ServiceView {
  return mapped("Service", serviceCodec.decode(bytes), (raw) => {
    const ref = refOf(raw.ref);
    return {
      ref,
      host: serviceHost(ref),
      aliases: list(raw.aliases, "aliases").map((alias) => boundedText(alias, "an alias")),
      ports: list(raw.ports, "ports").map(portOf),
      serverIdentities: list(raw.serverIdentities, "server identities").map(parseSpiffeId),
      policy: trafficPolicyOf(required(raw.policy, "the policy of a service")),
      places: list(raw.places, "places").map(placeOf),
    };
  });
}

/** The payload of a Bundle resource. Its name is `bundle.trustDomain`. */
export function encodeBundle({ isFederated, ...bundle }: TrustBundle): Uint8Array {
  return bundleCodec.encode({ ...bundle, federated: isFederated === true });
}

/** @throws {ATOLL_WIRE_INVALID | ATOLL_WIRE_TOO_LARGE}, also for a bundle without roots. */
export function decodeBundle(bytes: Uint8Array): TrustBundle {
  return mapped("Bundle", bundleCodec.decode(bytes), bundleOf);
}

/** A bundle out of the fields of a message that holds one. @throws {ATOLL_WIRE_INVALID | ATOLL_WIRE_TOO_LARGE | ATOLL_SPIFFE_ID_INVALID} */
export function bundleOf(raw: RawBundle): TrustBundle {
  const x509Authorities = certificateList(raw.x509Authorities, certificatesMax, "roots of a bundle");
  if (x509Authorities.length === 0) throw new AtollError("ATOLL_WIRE_INVALID", "a bundle without roots");
  const roots: TrustBundle = {
    trustDomain: parseTrustDomainName(raw.trustDomain),
    sequence: exactNumber(raw.sequence, "the sequence of a bundle"),
    refreshHintSeconds: raw.refreshHintSeconds,
    x509Authorities,
    ...(raw.federated === true ? { isFederated: true } : {}),
  };
  return withJwtAuthorities(roots, boundedList(raw.jwtAuthorities ?? [], jwtAuthoritiesMax, "JWT authorities of a bundle").map(jwtAuthorityOf));
}

function jwtAuthorityOf({ keyId, publicKey }: JwtAuthority): JwtAuthority {
  if (boundedText(keyId, "the id of a key").length > jwtKeyIdLengthMax) throw new AtollError("ATOLL_WIRE_INVALID", `the id of a key is longer than ${jwtKeyIdLengthMax} characters`);
  if (!isP256Spki(publicKey)) throw new AtollError("ATOLL_WIRE_INVALID", "a JWT authority is not a P-256 key");
  return { keyId, publicKey: copied(publicKey) };
}

/** The payload of an Inbound resource. Its name is the SNI of the port. */
export function encodeInbound(inbound: InboundPort): Uint8Array {
  return inboundCodec.encode(inbound);
}

/** @throws {ATOLL_WIRE_INVALID | ATOLL_WIRE_TOO_LARGE} */
export function decodeInbound(bytes: Uint8Array): InboundPort {
  return mapped("Inbound", inboundCodec.decode(bytes), (raw) => ({
    ref: refOf(raw.ref),
    port: portOf(required(raw.port, "the port of an inbound resource")),
    callers: list(raw.callers, "callers").map((caller): CallerRule => ({
      trustDomain: parseTrustDomainName(caller.trustDomain),
      principals: list(caller.principals, "principals").map((principal) => (principal === "*" ? "*" : parseSpiffeId(principal))),
    })),
  }));
}

/** The payload of a GatewayRoute resource. Its name is `route.sni`. */
export function encodeGatewayRoute(route: GatewayRoute): Uint8Array {
  return gatewayRouteCodec.encode({ host: route.host, endpoints: route.endpoints.map(endpointFields) });
}

/** `sni` is the name of the resource. @throws {ATOLL_WIRE_INVALID | ATOLL_WIRE_TOO_LARGE} */
export function decodeGatewayRoute(sni: string, bytes: Uint8Array): GatewayRoute {
  return mapped("GatewayRoute", gatewayRouteCodec.decode(bytes), (raw) => ({
    sni: boundedText(sni, "the name of a gateway route"),
    host: hostOf(raw.host),
    endpoints: list(raw.endpoints, "endpoints").map(endpointOf),
  }));
}

function list<T>(items: readonly T[], what: string): readonly T[] {
  return boundedList(items, listItemsMax, what);
}

function refOf(raw: RawRef | null): ServiceRef {
  const { namespace, name, trustDomain } = required(raw, "the reference of a service");
  return {
    namespace: parseLabel(namespace, "namespace"),
    name: parseLabel(name, "service"),
    trustDomain: parseTrustDomainName(trustDomain),
  };
}

function hostOf(text: string): ServiceHost {
  const [name, namespace, svc, ...trustDomain] = text.split(".");
  if (svc !== "svc") throw new AtollError("ATOLL_WIRE_INVALID", "not a service host");
  return serviceHost(refOf({ name: name ?? "", namespace: namespace ?? "", trustDomain: trustDomain.join(".") }));
}

function portOf(raw: RawPort): ServicePort {
  if (raw.name.length > 63) throw new AtollError("ATOLL_WIRE_INVALID", "the name of a port is longer than 63 characters");
  return { name: raw.name, port: portNumber(raw.port, "a service port"), protocol: protocolOf(raw.protocol) };
}

function protocolOf(text: string): PortProtocol {
  if (text !== "http" && text !== "tcp") throw new AtollError("ATOLL_WIRE_INVALID", `unknown protocol of a port: ${text.slice(0, 20)}`);
  return text;
}

function endpointFields(endpoint: EndpointView): RawEndpoint {
  const { region, zone = "" } = endpoint.locality;
  return { ...endpoint, locality: { region, zone }, readiness: readinessNumbers[endpoint.readiness] };
}

function endpointOf(raw: RawEndpoint): EndpointView {
  return {
    id: boundedText(raw.id, "the id of an endpoint"),
    address: literalAddress(raw.address),
    port: portNumber(raw.port, "the port of an endpoint"),
    locality: localityOf(raw.locality),
    weight: raw.weight,
    // A readiness that a newer version invented is not known here.
    readiness: readinessNames[raw.readiness] ?? "unknown",
  };
}

function localityOf(raw: RawEndpoint["locality"]): Locality {
  const { region, zone } = required(raw, "the locality of an endpoint");
  return { region: parseRegionId(region), ...(zone === "" ? {} : { zone: parseLabel(zone, "zone") }) };
}

function literalAddress(text: string): string {
  if (isIP(text) === 0) throw new AtollError("ATOLL_WIRE_INVALID", "an address is not a literal IP address");
  return text;
}

function dnsName(text: string): string {
  if (!isDnsName(text)) throw new AtollError("ATOLL_WIRE_INVALID", "the name of a gateway is not a DNS name");
  return text;
}

function gatewayOf(addressOf: (text: string) => string): (raw: RawGateway) => GatewayAddress {
  return ({ address, port }) => ({ address: addressOf(address), port: portNumber(port, "the port of a gateway") });
}

function placeFields(place: Place): RawPlace {
  const { cluster, region } = place;
  if (place.kind === "local") return { cluster, region, local: { endpoints: place.endpoints.map(endpointFields) } };
  const { gateways, gatewayIdentity, endpointsUnknown = 0, endpointsTotal, asOfMs } = place;
  // Proxies of the version before know two numbers, and unknown is not down.
  const endpointsReady = place.endpointsReady + endpointsUnknown;
  const isLiteral = ({ address }: RawGateway): boolean => isIP(address) !== 0;
  const gatewayNames = gateways.filter((gateway) => !isLiteral(gateway));
  return { cluster, region, remote: { gateways: gateways.filter(isLiteral), gatewayNames, gatewayIdentity, endpointsReady, endpointsUnknown, endpointsTotal, asOfMs } };
}

function placeOf(raw: RawPlace): Place {
  const cluster = parseClusterId(raw.cluster);
  const region = parseRegionId(raw.region);
  if (raw.local) return { kind: "local", cluster, region, endpoints: list(raw.local.endpoints, "endpoints").map(endpointOf) };
  const remote = required(raw.remote, "the kind of a place");
  return {
    kind: "remote",
    cluster,
    region,
    gateways: [...list(remote.gateways, "gateways").map(gatewayOf(literalAddress)), ...list(remote.gatewayNames, "names of gateways").map(gatewayOf(dnsName))],
    gatewayIdentity: parseSpiffeId(remote.gatewayIdentity),
    endpointsReady: Math.max(0, remote.endpointsReady - (remote.endpointsUnknown ?? 0)),
    ...(remote.endpointsUnknown === undefined || remote.endpointsUnknown === 0 ? {} : { endpointsUnknown: remote.endpointsUnknown }),
    endpointsTotal: remote.endpointsTotal,
    asOfMs: exactNumber(remote.asOfMs, "the time of a place"),
  };
}
