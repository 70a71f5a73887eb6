import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { FederationDescription } from "../federation-description.ts";
import { parseFederation } from "./parse-federation.ts";
import { formatFileFaults } from "./yaml-document.ts";

const head = "apiVersion: atoll.dev/v1alpha1\nkind: Federation\nmetadata: { name: shop }\nspec:\n";

function faultsIn(spec: string): string {
  const outcome = parseFederation(head + spec, "f.yaml");
  return outcome.kind === "faults" ? formatFileFaults(outcome.faults) : "";
}

function parsed(spec: string): FederationDescription {
  const outcome = parseFederation(head + spec, "f.yaml");
  if (outcome.kind === "faults") throw new Error(formatFileFaults(outcome.faults));
  return outcome.value;
}

const twoRegions = `  regions: [{ name: eu }, { name: us }]
  clusters:
    - { name: shop-eu, region: eu }
    - { name: shop-us, region: us }
`;

describe("a federation's file", () => {
  it("needs one region and one service with a command, and has defaults for everything else", () => {
    const { clusters, services, trustDomain, trustDomains, placement } = parsed("  regions: [{ name: here }]\n  services: [{ name: hello, command: [node, server.js] }]\n");
    expect(trustDomain).toBe("shop.atoll");
    expect(trustDomains).toEqual([{ name: "shop.mesh", signer: "here" }]);
    expect(clusters).toEqual([{ name: "here", region: "here", trustDomain: "shop.mesh", exportNamespaces: ["default"] }]);
    expect(services).toEqual([
      {
        namespace: "default",
        name: "hello",
        trustDomain: "shop.mesh",
        port: 80,
        instances: [{ name: "here-hello", cluster: "here" }],
        command: { words: ["node", "server.js"], directory: ".", env: {} },
        isExported: true,
        consumers: [],
        protocol: "http",
        tcpUpstreams: [],
        hasWorkloadApi: false,
      },
    ]);
    expect(placement).toBeUndefined();
  });

  it("has one cluster in each region, and a service in each of them, unless it says otherwise", () => {
    const { clusters, services } = parsed("  regions: [{ name: eu }, { name: us }]\n  services: [{ name: hello }]\n");
    expect(clusters.map(({ name, region }) => [name, region])).toEqual([["eu", "eu"], ["us", "us"]]);
    expect(services[0]?.instances).toEqual([{ name: "eu-hello", cluster: "eu", appPort: 8080 }, { name: "us-hello", cluster: "us", appPort: 8080 }]);
  });

  it("works delays out from coordinates, and has none for regions without", () => {
    const { distances } = parsed("  regions:\n    - { name: eu, coordinates: { latitude: 53.3, longitude: -6.3 } }\n    - { name: us, coordinates: { latitude: 38.9, longitude: -77.4 } }\n    - { name: moon }\n");
    expect(distances).toEqual([{ between: ["eu", "us"], oneWayMs: 41 }]);
  });

  it("names clients of its planes, operators unless it says otherwise", () => {
    expect(parsed(`${twoRegions}  clients: [{ name: shop-team, trustDomains: [shop.mesh], namespaces: [web] }, { name: dashboard, role: viewer }]\n`).clients).toEqual([
      { name: "shop-team", role: "operator", trustDomains: ["shop.mesh"], namespaces: ["web"] },
      { name: "dashboard", role: "viewer" },
    ]);
    expect(parsed(twoRegions).clients).toEqual([]);
  });

  it("places planes on the first host of a region, and engines beside the first cluster", () => {
    const { placement, services } = parsed(`${twoRegions}  services: [{ name: hello, instances: [{ cluster: shop-eu, host: e2 }, { cluster: shop-us }] }]
  hosts: [{ name: e1, address: 10.1.0.1, region: eu }, { name: e2, address: 10.1.0.2, region: eu }, { name: u1, address: 10.2.0.1, region: us, portOffset: 1000 }]
`);
    expect(placement?.globalHost).toBe("e1");
    expect([...(placement?.clusterHosts ?? [])]).toEqual([["shop-eu", "e1"], ["shop-us", "u1"]]);
    expect(placement?.engines).toEqual([
      { region: "eu", host: "e1", etcdPort: 2379, etcdPeerPort: 2380, natsPort: 4222, natsRoutePort: 6222, natsGatewayPort: 7222 },
      { region: "us", host: "u1", etcdPort: 3379, etcdPeerPort: 3380, natsPort: 5222, natsRoutePort: 7222, natsGatewayPort: 8222 },
    ]);
    expect(services[0]?.instances.map(({ host }) => host)).toEqual(["e2", "u1"]);
  });

  it("puts a gateway beside the plane of each cluster, or on each host that the cluster names in its region", () => {
    const hosts = "  hosts: [{ name: e1, address: 10.1.0.1, region: eu }, { name: e2, address: 10.1.0.2, region: eu }, { name: u1, address: 10.2.0.1, region: us }]\n";
    const clusters = (gateways: string): string => `  regions: [{ name: eu }, { name: us }]\n${hosts}  clusters: [{ name: a, region: eu, gateways: ${gateways} }, { name: b, region: us }]\n`;
    expect([...(parsed(clusters("{ hosts: [e2, e1], address: gateways.eu.example }")).placement?.clusterGateways ?? [])]).toEqual([["a", { hosts: ["e2", "e1"], address: "gateways.eu.example" }], ["b", { hosts: ["u1"] }]]);
    expect([...(parsed(clusters("{ address: 10.1.0.9 }")).placement?.clusterGateways.values() ?? [])][0]).toEqual({ hosts: ["e1"], address: "10.1.0.9" });
    expect(faultsIn(clusters("{ hosts: [e1, u1] }"))).toContain("gateways.hosts[1]: found u1 in us, expected a host in eu");
    expect(faultsIn(clusters("{ hosts: [] }"))).toContain("at least one host");
    expect(faultsIn(clusters("{ address: not a name }"))).toContain("gateways.address");
  });

  it("puts a member of a region's engines on each host that it names, of which there are an odd number in that region", () => {
    const hosts = "  hosts: [{ name: e1, address: 10.1.0.1, region: eu }, { name: e2, address: 10.1.0.2, region: eu, portOffset: 1000 }, { name: e3, address: 10.1.0.3, region: eu }, { name: u1, address: 10.2.0.1, region: us }]\n";
    const { placement } = parsed(`${twoRegions}${hosts}  engines: { kind: etcd-nats, places: [{ region: eu, hosts: [e2, e1, e3], natsPort: 4333 }] }\n`);
    expect(placement?.engines.map(({ region, host, etcdPort, natsPort }) => `${region} ${host} ${etcdPort} ${natsPort}`)).toEqual(["eu e2 3379 4333", "eu e1 2379 4333", "eu e3 2379 4333", "us u1 2379 4222"]);
    const refused = (members: string): string => faultsIn(`${twoRegions}${hosts}  engines: { kind: etcd-nats, places: [{ region: eu, hosts: [${members}] }] }\n`);
    expect(refused("e1, e2")).toContain("1, 3, 5 or 7 hosts");
    expect(refused("")).toContain("1, 3, 5 or 7 hosts");
    expect(refused("e1, e2, u1")).toContain("hosts[2]: found u1 in us, expected a host in eu");
  });

  it("takes the trust domain of a service from its clusters, and finds upstreams in others", () => {
    const { services } = parsed(`  regions: [{ name: eu }]
  clusters: [{ name: a, trustDomain: a.example }, { name: b, trustDomain: b.example }]
  services:
    - { name: front, clusters: [a], upstreams: [default/ledger], appPort: 1 }
    - { name: ledger, clusters: [b], consumers: [a.example], appPort: 2 }
`);
    expect(services.map(({ trustDomain }) => trustDomain)).toEqual(["a.example", "b.example"]);
    expect(services[0]?.upstreams).toEqual([{ namespace: "default", name: "ledger", trustDomain: "b.example" }]);
  });

  it("knows by which port a TCP service is called, and that its caller may see it", () => {
    const { services } = parsed(`  regions: [{ name: eu }]
  services:
    - { name: front, upstreams: [default/hello], tcpUpstreams: [{ service: core/db }, { service: core/cache, localPort: 7000 }] }
    - { name: hello, appPort: 2 }
    - { name: db, namespace: core, protocol: tcp, port: 5432, appPort: 3 }
    - { name: cache, namespace: core, protocol: tcp, port: 6379, appPort: 4 }
`);
    const [front, hello, db] = services;
    expect([front?.protocol, hello?.protocol, db?.protocol]).toEqual(["http", "http", "tcp"]);
    expect(front?.tcpUpstreams).toEqual([
      { service: { namespace: "core", name: "db", trustDomain: "shop.mesh" }, servicePort: 5432 },
      { service: { namespace: "core", name: "cache", trustDomain: "shop.mesh" }, servicePort: 6379, localPort: 7000 },
    ]);
    expect(front?.upstreams?.map(({ name }) => name)).toEqual(["hello", "db", "cache"]);
  });

  it("is refused with a place for every fault at once", () => {
    const text = faultsIn(`  regions: [{ name: eu }, { name: eu }]
  trustDomains: [{ name: pay.example }, { name: shop.example, signer: nowhere }]
  clusters:
    - { name: shop-eu, region: mars, trustDomain: shop.example }
  services:
    - { name: a, clusters: [] }
    - { name: b, clusters: [shop-eu], appPort: 9000 }
    - { name: c, clusters: [shop-eu], appPort: 9000 }
`);
    expect(text.split("\n")).toEqual([
      "f.yaml:5:35: spec.regions[1].name: found eu a second time, expected names that differ from each other",
      "f.yaml:6:26: spec.trustDomains[0].name: found no cluster of pay.example, expected a cluster whose plane is its signer",
      'f.yaml:6:71: spec.trustDomains[1].signer: found cluster "nowhere", which is not declared, expected one of shop-eu',
      'f.yaml:8:32: spec.clusters[0].region: found region "mars", which is not declared, expected one of eu, eu',
      "f.yaml:10:15: spec.services[0].name: found no cluster for a, expected clusters, or a trustDomain",
      "f.yaml:12:48: spec.services[2].appPort: found port 9000 on this machine, which b has, expected an appPort of its own",
    ]);
  });

  it.each([
    ["  regions: [{ name: eu }]\n  region: x\n", "f.yaml:6:3: spec.region: found an unknown field"],
    ["  regions: [{ name: eu }]\n  services: [{ name: db, protocol: tcp }]\n", "spec.services[0].protocol: found tcp without a port, expected a port by which others call it"],
    ["  regions: [{ name: eu }]\n  services: [{ name: db, protocol: tcp, port: 5432, readiness: { path: / } }]\n", "spec.services[0].readiness: found a path that a tcp service does not answer"],
    ["  regions: [{ name: eu }]\n  services: [{ name: a, tcpUpstreams: [{ service: default/b }] }, { name: b, appPort: 1 }]\n", "spec.services[0].tcpUpstreams[0].service: found default/b, which speaks http, expected a tcp service"],
    ["  regions: [{ name: eu }]\n  services: [{ name: a, tcpUpstreams: [{ service: default/c }] }]\n", 'spec.services[0].tcpUpstreams[0].service: found service "default/c", which is not declared'],
    ["  regions: [{ name: eu }]\n  services: [{ name: db, protocol: tcp, port: 5432 }]\n  users: [{ region: eu, service: default/db }]\n", "spec.users[0].service: found default/db, which speaks tcp, expected a service that speaks http"],
    ["  regions: [{ name: eu }]\n  hosts: [{ name: e, address: 10.0.0.1 }]\n  services: [{ name: a, appPort: 1, tcpUpstreams: [{ service: default/db }] }, { name: db, protocol: tcp, port: 5432, appPort: 5432 }]\n", "spec.services[0].tcpUpstreams[0].service: found port 5432 on e, which the application of db has, expected a localPort of its own"],
    ["  regions: []\n", "spec.regions: found an empty list, expected at least one region"],
    ["  regions: [{ name: Eu }]\n", 'f.yaml:5:21: spec.regions[0].name: found "Eu"'],
    [`${twoRegions}  services: [{ name: x, instances: [{ cluster: shop-eu, host: u }] }]\n  hosts: [{ name: e, address: 10.0.0.1, region: eu }, { name: u, address: 10.0.0.2, region: us }]\n`, "found u in us, expected a host in eu"],
    [`${twoRegions}  hosts: [{ name: e, address: 10.0.0.1, region: eu }]\n`, "spec.clusters[1].name: found no host for shop-us, expected a host in us"],
    ["  regions: [{ name: eu }]\n  hosts: [{ name: e, address: e.shop.example }]\n", "spec.hosts[0].address: found the name e.shop.example and no listen, expected listen: the literal address behind it"],
    ["  regions: [{ name: eu }]\n  hosts: [{ name: e, address: e.shop.example, listen: e }]\n", "spec.hosts[0].listen: found \"e\", expected a literal IP address"],
    [`${twoRegions}  hosts: [{ name: e, address: 10.0.0.1, region: eu }, { name: u, address: 10.0.0.1, region: us }]\n`, "found 10.0.0.1, which is that of e, expected an address of its own"],
    ["  regions: [{ name: eu }, { name: us }]\n  clusters: [{ name: a }]\n", "spec.clusters[0].region: found nothing, expected one of the regions eu, us"],
    [`  regions: [{ name: eu }]\n  services: [{ name: ${"x".repeat(60)} }]\n`, "found the process name eu-"],
    ["  regions: [{ name: eu }]\n  trustDomain: shop.mesh\n", "found shop.mesh for workloads too"],
    ["  regions: [{ name: eu }]\n  clusters: [{ name: a, exportNamespaces: [] }]\n  services: [{ name: x }]\n", "found nothing of default, the namespace of x"],
    ["  regions: [{ name: eu }]\n  services: [{ name: x, upstreams: [default/y] }]\n", 'found service "default/y", which is not declared, expected one of default/x'],
    [`${twoRegions}  services: [{ name: x, clusters: [shop-eu] }]\n  users: [{ region: mars, service: default/y }]\n`, 'f.yaml:10:36: spec.users[0].service: found service "default/y"'],
    [`  regions: [{ name: eu }, { name: us }]\n  clusters: [{ name: a, region: eu }]\n  services: [{ name: x }]\n  users: [{ region: us, service: default/x }]\n`, "spec.users[0].region: found no cluster of default/x's trust domain in us"],
    ["  regions: [{ name: eu }]\n  services: [{ name: a-b, clusters: [eu] }, { name: b, clusters: [eu-a], appPort: 1 }]\n  clusters: [{ name: eu }, { name: eu-a }]\n", "found the process name eu-a-b-proxy"],
    ["  regions: [{ name: eu }]\n  clients: [{ name: team, trustDomains: [pay.example] }]\n", 'spec.clients[0].trustDomains[0]: found trust domain "pay.example", which is not declared, expected one of shop.mesh'],
    ["  regions: [{ name: eu }]\n  clients: [{ name: team, role: viewer, namespaces: [web] }]\n", "spec.clients[0].role: found viewer with bounds, expected operator"],
    ["  regions: [{ name: eu }]\n  clients: [{ name: team }, { name: team }]\n", "spec.clients"],
  ])("is refused: %j", (spec, message) => expect(faultsIn(spec)).toContain(message));

  it("is one document, and a federation", () => {
    const text = (of: string): string => {
      const outcome = parseFederation(of, "f.yaml");
      return outcome.kind === "faults" ? formatFileFaults(outcome.faults) : "";
    };
    expect(text("")).toContain("f.yaml:1:1: found nothing");
    expect(text(`${head}  regions: [{ name: a }]\n---\n{}\n`)).toContain("f.yaml:7:1: found a second document");
    expect(text("kind: Region\n")).toContain("f.yaml:1:7: kind: found \"Region\", expected \"Federation\"");
    expect(text("a: [\n")).toContain("expected YAML 1.2");
  });

  it("is never half understood: any words give a description or faults, and never an exception", () => {
    const name = fc.constantFrom("a", "b", "a-b", "global", "x.example", "", "a/b");
    const entry = fc.dictionary(fc.constantFrom("name", "region", "trustDomain", "clusters", "cluster", "host", "address", "appPort", "command", "signer", "instances"), fc.oneof(name, fc.array(name, { maxLength: 2 }), fc.integer({ min: 0, max: 70_000 }), fc.array(fc.record({ cluster: name, host: name }), { maxLength: 2 })));
    const spec = fc.dictionary(fc.constantFrom("regions", "clusters", "services", "trustDomains", "hosts"), fc.array(entry, { maxLength: 3 }));
    fc.assert(
      fc.property(spec, (value) => {
        const outcome = parseFederation(JSON.stringify({ apiVersion: "atoll.dev/v1alpha1", kind: "Federation", metadata: { name: "a" }, spec: value }), "f.yaml");
        expect(outcome.kind === "parsed" ? outcome.value.regions.length : outcome.faults.length).toBeGreaterThan(0);
      }),
    );
  });
});
