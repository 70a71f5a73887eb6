import { generateKeyPairSync } from "node:crypto";
import { parse } from "protobufjs";
import { describe, expect, it } from "vitest";
import { parseClusterId, parseRegionId } from "#federation/model/names.ts";
import { serviceHost, serviceSni, workloadId } from "#federation/model/service.ts";
import type { EndpointView, GatewayRoute, InboundPort, ServiceView } from "#federation/model/snapshot.ts";
import { parseTrustDomainName } from "#federation/model/spiffe-id.ts";
import { defaultTrafficPolicy } from "#federation/model/traffic-policy.ts";
import type { TrustBundle } from "#federation/model/trust-bundle.ts";
import { decodeBundle, decodeGatewayRoute, decodeInbound, decodeService, encodeBundle, encodeGatewayRoute, encodeInbound, encodeService } from "./discovery-resources.ts";

const trustDomain = parseTrustDomainName("shop.example");
const ref = { namespace: "web", name: "catalog", trustDomain };
const host = serviceHost(ref);
const region = parseRegionId("eu-west");
const endpoints: readonly EndpointView[] = [
  { id: "catalog-1", address: "127.0.0.2", port: 15006, locality: { region, zone: "a" }, weight: 100, readiness: "ready" },
  { id: "catalog-2", address: "fd00::2", port: 15006, locality: { region }, weight: 0, readiness: "notReady" },
  { id: "catalog-3", address: "127.0.0.3", port: 15006, locality: { region }, weight: 1, readiness: "unknown" },
];
const service: ServiceView = {
  ref,
  host,
  aliases: ["catalog.web"],
  ports: [{ name: "http", port: 80, protocol: "http" }],
  serverIdentities: [workloadId(trustDomain, "web", "catalog")],
  policy: {
    ...defaultTrafficPolicy,
    locality: { mode: "weights", weights: [{ region, weight: 0.25 }] },
    timeouts: { ...defaultTrafficPolicy.timeouts, tryMs: 400, streamMs: 604_800_000 },
    priority: "sheddable",
  },
  places: [
    { kind: "local", cluster: parseClusterId("shop-eu"), region, endpoints },
    {
      kind: "remote",
      cluster: parseClusterId("shop-us"),
      region: parseRegionId("us-east"),
      gateways: [{ address: "127.0.0.9", port: 15443 }],
      gatewayIdentity: workloadId(trustDomain, "x", "gateway"),
      endpointsReady: 1,
      endpointsUnknown: 1,
      endpointsTotal: 3,
      asOfMs: 1_800_000_000_000,
    },
  ],
};
const jwtAuthority = { keyId: "one", publicKey: new Uint8Array(generateKeyPairSync("ec", { namedCurve: "P-256" }).publicKey.export({ type: "spki", format: "der" })) };
const bundle: TrustBundle = { trustDomain, sequence: 7, refreshHintSeconds: 300, x509Authorities: [Uint8Array.of(1, 2, 3)] };
const inbound: InboundPort = {
  ref,
  port: { name: "http", port: 80, protocol: "http" },
  callers: [
    { trustDomain, principals: ["*"] },
    { trustDomain: parseTrustDomainName("pay.example"), principals: [workloadId(parseTrustDomainName("pay.example"), "core", "payments")] },
  ],
};

/** What a proxy of the version before names reads of the gateways of a Service: field 1 of a remote place and no other. */
function gatewaysSeenBefore(bytes: Uint8Array): readonly string[] {
  const { root } = parse(`syntax = "proto3";
    message Gateway { string address = 1; }
    message Remote { repeated Gateway gateways = 1; }
    message Place { Remote remote = 4; }
    message Service { repeated Place places = 6; }`);
  const { places } = root.lookupType("Service").decode(bytes).toJSON() as { readonly places: readonly { readonly remote?: { readonly gateways: readonly { readonly address: string }[] } }[] };
  return places.flatMap(({ remote }) => remote?.gateways.map(({ address }) => address) ?? []);
}

describe("discovery resources", () => {
  it("come back as they were", () => {
    expect(decodeService(encodeService(service))).toEqual(service);
    expect(decodeBundle(encodeBundle(bundle))).toEqual(bundle);
    expect(decodeBundle(encodeBundle({ ...bundle, isFederated: true }))).toEqual({ ...bundle, isFederated: true });
    expect(decodeBundle(encodeBundle({ ...bundle, jwtAuthorities: [jwtAuthority] }))).toEqual({ ...bundle, jwtAuthorities: [jwtAuthority] });
    expect(decodeInbound(encodeInbound(inbound))).toEqual(inbound);
    const route: GatewayRoute = { sni: serviceSni(host, 80), host, endpoints };
    expect(decodeGatewayRoute(route.sni, encodeGatewayRoute(route))).toEqual(route);
  });

  it("keep names of gateways apart from addresses, so that an older proxy still finds only those there", () => {
    const [local, remote] = service.places;
    if (local === undefined || remote?.kind !== "remote") throw new Error("the service has a local and a remote place");
    const named = { ...service, places: [local, { ...remote, gateways: [...remote.gateways, { address: "gw.shop-us.example", port: 443 }] }] };
    const bytes = encodeService(named);
    expect(decodeService(bytes)).toEqual(named);
    expect(gatewaysSeenBefore(bytes)).toEqual(["127.0.0.9"]);
    const damaged = Buffer.from(bytes);
    damaged.write("GW.", damaged.indexOf("gw.shop-us"), "latin1");
    expect(() => decodeService(damaged)).toThrow(expect.objectContaining({ code: "ATOLL_WIRE_INVALID" }) as Error);
  });

  it.each([{ mode: "nearest" }, { mode: "ordered", order: [region, parseRegionId("us-east")] }] as const)("keep the locality policy $mode", (locality) => {
    const view = { ...service, policy: { ...service.policy, locality } };
    expect(decodeService(encodeService(view)).policy.locality).toEqual(locality);
  });

  it("keep the priority class, and take one that is not known here for the default", () => {
    const bytes = Buffer.from(encodeService(service));
    expect(decodeService(bytes).policy.priority).toBe("sheddable");
    bytes.write("shredable", bytes.indexOf("sheddable"), "latin1");
    expect(decodeService(bytes).policy.priority).toBe("default");
  });

  it("of a newer version are read without what is not known here", () => {
    const unknownField = Uint8Array.of(0xfa, 0x01, 1, 42); // field 31, one byte
    expect(decodeBundle(Buffer.concat([encodeBundle(bundle), unknownField]))).toEqual(bundle);
  });

  it("are refused when a name, an address, a port or a list is not allowed", () => {
    const bad = [
      () => decodeBundle(encodeBundle({ ...bundle, x509Authorities: [] })),
      () => decodeBundle(encodeBundle({ ...bundle, jwtAuthorities: [{ ...jwtAuthority, keyId: "" }] })),
      () => decodeBundle(encodeBundle({ ...bundle, jwtAuthorities: [{ ...jwtAuthority, keyId: "k".repeat(129) }] })),
      () => decodeBundle(encodeBundle({ ...bundle, jwtAuthorities: [{ ...jwtAuthority, publicKey: jwtAuthority.publicKey.with(40, 1) }] })),
      () => decodeBundle(encodeBundle({ ...bundle, trustDomain: "Not A Domain" as typeof trustDomain })),
      () => decodeService(encodeService({ ...service, ref: { ...ref, name: "UPPER" } })),
      () => decodeService(encodeService({ ...service, ports: [{ name: "http", port: 70_000, protocol: "http" }] })),
      () => decodeGatewayRoute("sni", encodeGatewayRoute({ sni: "sni", host, endpoints: [{ ...endpoints[0]!, address: "example.org" }] })),
      () => decodeInbound(new Uint8Array(0)),
    ];
    for (const decode of bad) expect(decode).toThrowError(expect.objectContaining({ code: "ATOLL_WIRE_INVALID" }));
  });

  it("are refused above their size", () => {
    expect(() => decodeBundle(new Uint8Array(1024 * 1024 + 1))).toThrowError(expect.objectContaining({ code: "ATOLL_WIRE_TOO_LARGE" }));
  });
});
