import { isIP } from "node:net";
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { stringify } from "yaml";
import { apiVersion, kinds, type Resource } from "../resource.ts";
import { encodeExportedService, encodePeerResource, parseExportedService, parseKind, parseResource, readPeerResource, readStoredResource } from "./parse-resource.ts";
import { parseYaml } from "./parse-yaml.ts";
import { resourceArbitrary } from "./resource-arbitrary-fixture.ts";

const plain = (value: unknown): unknown => JSON.parse(JSON.stringify(value));

describe.each(kinds)("%s", (kind) => {
  it("comes back from JSON and from YAML as it was", () => {
    fc.assert(
      fc.property(resourceArbitrary(kind), (resource) => {
        expect(parseResource(plain(resource))).toEqual({ kind: "parsed", value: resource });
        const outcome = parseYaml(stringify(plain(resource)), "file.yaml");
        expect(outcome).toMatchObject({ kind: "parsed", resources: [{ line: 1, file: "file.yaml" }] });
        if (outcome.kind === "parsed") expect(outcome.resources[0]?.resource).toEqual(resource);
      }),
      { numRuns: 60 },
    );
  });

  it("is refused with a field too many, wherever it stands, and read from a store without it", () => {
    fc.assert(
      fc.property(resourceArbitrary(kind), fc.constantFrom("", "metadata", "spec"), (resource, place) => {
        const input = plain(resource) as Record<string, Record<string, unknown>>;
        ((place === "" ? input : input[place]) as Record<string, unknown>)["later"] = 1;
        const outcome = parseResource(input);
        const path = place === "" ? "later" : `${place}.later`;
        expect(outcome).toMatchObject({ kind: "faults", faults: [{ path, found: "an unknown field" }] });
        expect(readStoredResource(kind, input)).toEqual(resource);
      }),
      { numRuns: 20 },
    );
  });

  it("is never parsed from anything else, and never breaks the parser", () => {
    fc.assert(
      fc.property(fc.jsonValue(), fc.jsonValue(), (metadata, spec) => {
        expect(parseKind(kind, { apiVersion: "atoll.dev/v1alpha1", kind, metadata, spec }).kind).toBe("faults");
        expect(parseResource(spec).kind).toBe("faults");
      }),
      { numRuns: 60 },
    );
  });
});

function faultsOf(resource: unknown): readonly string[] {
  const outcome = parseResource(resource);
  return outcome.kind === "parsed" ? [] : outcome.faults.map((fault) => fault.path);
}

interface Sample {
  readonly spec: Record<string, unknown>;
  readonly metadata: Record<string, unknown>;
}

function sample(kind: Resource["kind"]): Sample {
  return plain(fc.sample(resourceArbitrary(kind), { numRuns: 1, seed: 7 })[0]) as never;
}

describe("faults", () => {
  it.each([
    ["Cluster", "metadata.name", (r: Sample): unknown => (r.metadata["name"] = "global")],
    ["Cluster", "metadata.namespace", (r: Sample): unknown => (r.metadata["namespace"] = "web")],
    ["Service", "metadata.namespace", (r: Sample): unknown => delete r.metadata["namespace"]],
    ["Service", "spec.ports", (r: Sample): unknown => (r.spec["ports"] = [])],
    ["Service", "spec.ports", (r: Sample): unknown => (r.spec["ports"] = [1, 2].map((n) => ({ name: `p${n}`, port: 80, protocol: "http" })))],
    ["Relationship", "spec.validUntil", (r: Sample): unknown => (r.spec["validUntil"] = "2027-01-01")],
    ["Relationship", "spec.callee.trustDomain", (r: Sample): unknown => Object.assign(r.spec["callee"] as object, { trustDomain: "shop.example" })],
    ["TrustDomain", "spec.bundle", (r: Sample): unknown => (r.spec["bundle"] = '{"keys":[]}')],
    ["TrafficPolicy", "spec.locality.mode", (r: Sample): unknown => (r.spec["locality"] = { mode: "random" })],
    ["TrafficPolicy", "spec.outlier", (r: Sample): unknown => (r.spec["outlier"] = { baseEjectionMs: 400_000 })],
    ["ServiceExport", "spec.consumers[0].cluster", (r: Sample): unknown => (r.spec["consumers"] = [{ cluster: "No" }])],
    ["Region", "spec.coordinates.latitude", (r: Sample): unknown => (r.spec["coordinates"] = { latitude: 91, longitude: 0 })],
  ] as const)("of a %s lie at %s", (kind, path, spoil) => {
    const resource = sample(kind);
    expect(faultsOf(resource)).toEqual([]);
    spoil(resource);
    expect(faultsOf(resource)).toEqual([path]);
  });

  it("are at most a hundred", () => {
    const consumers = Array.from({ length: 250 }, (_, index) => ({ cluster: `No ${index}` }));
    expect(faultsOf({ ...sample("ServiceExport"), spec: { consumers } })).toHaveLength(100);
  });
});

describe("a cluster that another plane has sent", () => {
  const cluster = (gateways: readonly { readonly address: string; readonly port: number }[]): Resource => {
    const parsed = parseKind("Cluster", { apiVersion, kind: "Cluster", metadata: { name: "shop-eu" }, spec: { region: "eu-west", trustDomain: "shop.example", exportNamespaces: ["web"], gateways } });
    if (parsed.kind !== "parsed") throw new Error("the cluster of the test is wrong");
    return parsed.value;
  };

  it("comes back with the names of its gateways", () => {
    const sent = cluster([{ address: "10.0.0.1", port: 15_443 }, { address: "gw.shop-eu.example", port: 443 }]);
    expect(readPeerResource("Cluster", encodePeerResource(sent))).toEqual(sent);
  });

  it("can be read by planes of the version before names, without those names", () => {
    const bytes = encodePeerResource(cluster([{ address: "gw.shop-eu.example", port: 443 }]));
    expect(readStoredResource("Cluster", JSON.parse(new TextDecoder().decode(bytes)))).toEqual(cluster([]));
  });
});

describe("an exported service", () => {
  it("comes back from its bytes, also with fields that a later version added", () => {
    fc.assert(
      fc.property(resourceArbitrary("ServiceImport"), (resource) => {
        if (resource.kind !== "ServiceImport") throw new Error("another kind");
        const { origin: _, appliedAtMs: __, ...spec } = resource.spec;
        // Names travel apart, so they come after the literal addresses.
        const service = { ...spec, gateways: spec.gateways.toSorted((a, b) => Number(isIP(a.address) === 0) - Number(isIP(b.address) === 0)) };
        expect(parseExportedService(encodeExportedService(service))).toEqual(service);
        expect(parseExportedService(encodeExportedService(resource.spec))).toEqual(service);
      }),
      { numRuns: 30 },
    );
  });

  it("of which instances are not heard counts them among the ready ones for planes that know two numbers", () => {
    const [service] = fc.sample(resourceArbitrary("ServiceImport"), { numRuns: 1, seed: 7 });
    if (service?.kind !== "ServiceImport") throw new Error("another kind");
    const bytes = encodeExportedService({ ...service.spec, endpointsReady: 2, endpointsUnknown: 3, endpointsTotal: 6 });
    expect(JSON.parse(new TextDecoder().decode(bytes))).toMatchObject({ endpointsReady: 5, endpointsTotal: 6 });
    expect(parseExportedService(bytes)).toMatchObject({ endpointsReady: 2, endpointsUnknown: 3, endpointsTotal: 6 });
  });

  it("is refused when it is anything else", () => {
    for (const bytes of [new Uint8Array(), Uint8Array.of(0xff), new TextEncoder().encode("{}"), new TextEncoder().encode("[".repeat(1_000))]) {
      expect(() => parseExportedService(bytes)).toThrow(expect.objectContaining({ code: "ATOLL_RESOURCE_INVALID" }));
    }
  });
});
