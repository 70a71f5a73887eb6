import * as fc from "fast-check";
import { parseClusterId, parseRegionId, type ClusterId } from "../names.ts";
import { priorityClasses } from "../priority-class.ts";
import { createWorkloadId, parseTrustDomainName } from "../spiffe-id.ts";
import { apiVersion, importMetadata, kindInfos, type Kind, type Metadata, type Resource } from "../resource.ts";

// Any resource that a user may write, for properties that hold of all of them.

const label = fc.stringMatching(/^[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?$/);
const regionId = label.map(parseRegionId);
const clusterId = label.filter((text) => text !== "global").map(parseClusterId);
const trustDomain = fc.constantFrom("shop.example", "pay.example", "demo.atoll").map(parseTrustDomainName);
const port = fc.integer({ min: 1, max: 65_535 });
const ipAddress = fc.oneof(fc.ipV4(), fc.ipV6().filter((text) => !text.includes("%")));
const sha256 = fc.stringMatching(/^[0-9a-f]{64}$/);
const signature = fc.stringMatching(/^[A-Za-z0-9_-]{86}$/);
const time = fc.date({ min: new Date("2000-01-01"), max: new Date("2099-01-01"), noInvalidDate: true }).map((date) => date.toISOString());
const whole = fc.nat({ max: 2 ** 40 });

const list = <T>(of: fc.Arbitrary<T>, minLength = 0) => fc.uniqueArray(of, { minLength, maxLength: 5, selector: (value) => JSON.stringify(value) });
const record = <T>(of: { [K in keyof T]: fc.Arbitrary<T[K]> }, optional: readonly (keyof T)[] = []) =>
  fc.record(of, { requiredKeys: (Object.keys(of) as (keyof T)[]).filter((key) => !optional.includes(key)), noNullPrototype: true });

const host = fc.oneof(ipAddress, label.filter((text) => !/^[0-9]+$/.test(text)).map((text) => `gateways.${text}`));
const gateway = record({ address: host, port, regions: list(regionId, 1) }, ["regions"]);
const gateways = fc.uniqueArray(gateway, { maxLength: 4, selector: (entry) => `${entry.address} ${entry.port}` });
const ports = (minLength: number) =>
  fc
    .uniqueArray(record({ name: label, port, protocol: fc.constantFrom("http", "tcp") }), { minLength, maxLength: 4, selector: (entry) => entry.name })
    .filter((entries) => new Set(entries.map((entry) => entry.port)).size === entries.length);

const relationship = fc.tuple(sha256, sha256, list(label, 1), list(label, 1), time).map(([first, second, principals, services, validUntil]) => ({
  caller: { trustDomain: parseTrustDomainName("shop.example"), authoritySha256: first, principals: principals.map((name) => `ns/${name}/sa/${name}`) },
  callee: { trustDomain: parseTrustDomainName("pay.example"), authoritySha256: second, services: services.map((name) => `core/${name}`) },
  validUntil,
}));

const endpointUrl = fc.tuple(host, port).map(([name, number]) => `https://${name.includes(":") ? `[${name}]` : name}:${number}/bundle`);

const ejections = fc.tuple(fc.integer({ min: 100, max: 60_000 }), fc.integer({ min: 60_000, max: 3_600_000 }));

const specs: { readonly [K in Kind]: fc.Arbitrary<unknown> } = {
  Region: record(
    { displayName: fc.string({ maxLength: 40 }), coordinates: record({ latitude: fc.integer({ min: -90, max: 90 }), longitude: fc.integer({ min: -180, max: 180 }) }), residency: list(label) },
    ["displayName", "coordinates", "residency"],
  ),
  Cluster: record(
    { region: regionId, trustDomain, exportNamespaces: list(label), planeAddress: record({ host: ipAddress, discoveryPort: port, joinPort: port }), gateways },
    ["planeAddress"],
  ),
  TrustDomain: record({
    authorityCertificatePem: fc.constant("-----BEGIN CERTIFICATE-----\nTUlJQg==\n-----END CERTIFICATE-----\n"),
    bundle: list(label, 1).map((ids) => JSON.stringify({ keys: ids.map((kid) => ({ kty: "EC", kid })) })),
    bundleSignature: signature,
  }),
  Relationship: relationship,
  TrafficPolicy: record(
    {
      targetRef: record({ namespace: label, name: label, trustDomain }, ["trustDomain"]),
      locality: fc.oneof(
        fc.constant({ mode: "nearest" }),
        list(regionId, 1).map((order) => ({ mode: "ordered", order })),
        list(regionId, 1).map((regions) => ({ mode: "weights", weights: regions.map((region, index) => ({ region, weight: index + 1 })) })),
      ),
      retries: record({ retriesMax: fc.nat({ max: 10 }), budgetRatio: fc.double({ min: 0, max: 1, noNaN: true }).map(Math.abs), statuses: list(fc.integer({ min: 400, max: 599 })) }, ["retriesMax", "budgetRatio", "statuses"]),
      timeouts: record({ requestMs: fc.integer({ min: 1, max: 3_600_000 }), connectMs: fc.integer({ min: 1, max: 60_000 }), tryMs: fc.integer({ min: 1, max: 3_600_000 }), streamMs: fc.integer({ min: 1, max: 604_800_000 }) }, ["requestMs", "connectMs", "tryMs", "streamMs"]),
      outlier: ejections.map(([baseEjectionMs, maxEjectionMs]) => ({ baseEjectionMs, maxEjectionMs })),
      priority: fc.constantFrom(...priorityClasses),
    },
    ["locality", "retries", "timeouts", "outlier", "priority"],
  ),
  FederatedTrustDomain: fc.oneof(
    record({ bundleEndpoint: record({ urls: list(endpointUrl, 1), profile: fc.constant("https_web"), webRootsPem: fc.constant("-----BEGIN CERTIFICATE-----\nTUlJQg==\n-----END CERTIFICATE-----\n") }, ["webRootsPem"]) }),
    record({ bundleEndpoint: record({ urls: list(endpointUrl, 1), profile: fc.constant("https_spiffe"), spiffeId: fc.constant("spiffe://partner.example/spire/server") }), trustDomainBundle: fc.constant('{"keys":[{"kty":"EC"}]}') }),
  ),
  Service: record({ ports: ports(1), serviceAccounts: list(label, 1) }),
  ServiceExport: record({ consumers: list(fc.oneof(record({ trustDomain }), record({ cluster: clusterId }))) }, ["consumers"]),
  ServiceImport: fc.tuple(label, label, clusterId).chain(([namespace, name, cluster]) => importSpec(namespace, name, cluster)),
};

function importSpec(namespace: string, name: string, cluster: ClusterId) {
  return record({
    namespace: fc.constant(namespace),
    name: fc.constant(name),
    cluster: fc.constant(cluster),
    trustDomain,
    region: regionId,
    ports: ports(0),
    serverIdentities: list(label).map((names) => names.map((account) => createWorkloadId(parseTrustDomainName("pay.example"), namespace, account))),
    gateways,
    endpointsReady: whole,
    endpointsUnknown: whole,
    endpointsTotal: whole,
    asOfMs: whole,
    origin: record({ epoch: whole, revision: whole }),
    appliedAtMs: whole,
  });
}

/** Resources of `kind` as their parser must let through. */
export function resourceArbitrary(kind: Kind): fc.Arbitrary<Resource> {
  const name = kind === "TrustDomain" ? trustDomain : kind === "FederatedTrustDomain" ? fc.constant("partner.example") : kind === "Cluster" ? clusterId : label;
  const metadata: fc.Arbitrary<Metadata> = kindInfos[kind].namespaced
    ? record({ name, namespace: label, labels: fc.dictionary(label, label, { maxKeys: 3, noNullPrototype: true }) }, ["labels"])
    : record({ name, labels: fc.dictionary(label, label, { maxKeys: 3, noNullPrototype: true }) }, ["labels"]);
  return fc.tuple(metadata, specs[kind]).map(([own, spec]) => {
    const derived = kind === "ServiceImport" ? importMetadata(spec as never) : own;
    return { apiVersion, kind, metadata: derived, spec } as Resource;
  });
}
