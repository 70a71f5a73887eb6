import { describe, expect, it } from "vitest";
import { backupField } from "#federation/history/backup-config.ts";
import { createBackupKey } from "#federation/model/backup-recipient.ts";
import { parseFederation } from "#federation/model/parse/parse-federation.ts";
import { readConfig } from "#federation/runtime/config.ts";
import { busField, storeField } from "#federation/runtime/engine-config.ts";
import { accessField } from "#federation/admin-api/access-config.ts";
import { bootstrapFiles } from "./bootstrap-files.ts";
import { layOutMachines, type MachineLayout } from "./machine-layout.ts";

function described(spec: string) {
  const outcome = parseFederation(`apiVersion: atoll.dev/v1alpha1\nkind: Federation\nmetadata: { name: shop }\nspec:\n${spec}`, "f.yaml");
  if (outcome.kind === "faults") throw new Error(JSON.stringify(outcome.faults));
  return outcome.value;
}

const two = `  regions: [{ name: eu }, { name: us }]
  hosts: [{ name: e, address: 10.1.0.1, region: eu }, { name: u, address: "2001:db8::1", region: us, portOffset: 1000, root: /srv/u }]
  trustDomains: [{ name: a.example }, { name: b.example }]
  clusters:
    - { name: a-eu, region: eu, trustDomain: a.example }
    - { name: b-eu, region: eu, trustDomain: b.example }
    - { name: a-us, region: us, trustDomain: a.example }
  services:
    - { name: front, trustDomain: a.example, appPort: 81, upstreams: [default/ledger] }
    - { name: ledger, clusters: [b-eu], appPort: 82, consumers: [a.example] }
  relationships: [{ name: r, caller: { trustDomain: a.example, principals: ["*"] }, callee: { trustDomain: b.example, services: [default/ledger] } }]
`;

function machines(spec = two): MachineLayout {
  return layOutMachines(described(spec), "/opt/atoll");
}

function configOf(name: string): Readonly<Record<string, unknown>> {
  return machines().machines.flatMap(({ processes }) => processes).find((process) => process.name === name)?.config ?? {};
}

describe("a described federation on its machines", () => {
  it("puts everything on the host that the file means", () => {
    expect(machines().machines.map(({ host, processes, engines }) => [host.name, engines?.region, processes.map(({ name, stage }) => `${name} ${stage}`)])).toEqual([
      ["e", "eu", ["global global", "a-eu-plane signers", "a-eu-gateway proxies", "b-eu-plane signers", "b-eu-gateway proxies", "a-eu-front-proxy proxies", "b-eu-ledger-proxy proxies"]],
      ["u", "us", ["a-us-plane planes", "a-us-gateway proxies", "a-us-front-proxy proxies"]],
    ]);
  });

  it("gives the first of a kind the ports that everybody knows, and each further one of a host others", () => {
    expect(configOf("a-eu-plane")["listen"]).toEqual({ address: "10.1.0.1", discoveryPort: 7410, joinPort: 7411, adminPort: 7420, metricsPort: 7421 });
    expect(configOf("b-eu-plane")["listen"]).toMatchObject({ discoveryPort: 7510, adminPort: 7520 });
    expect(configOf("a-us-plane")["listen"]).toMatchObject({ discoveryPort: 8410 });
    const numbers = (value: unknown): readonly number[] => (typeof value === "number" ? [value] : typeof value === "object" && value !== null ? Object.values(value).flatMap(numbers) : []);
    for (const { processes, engines } of machines().machines) {
      const used = numbers([processes.map(({ config }) => [config["listen"], config["ports"]]), engines]);
      expect(used.length).toBeGreaterThan(10);
      expect(new Set(used).size).toBe(used.length);
    }
  });

  it("has every plane of a trust domain serve its bundle, at the port that follows from its place, and says which files that takes", () => {
    const endpoint = { profile: "https_web", certificateFile: "/etc/tls/full.pem", keyFile: "/etc/tls/key.pem" };
    const spec = two.replace("{ name: a.example }", `{ name: a.example, bundleEndpoint: ${JSON.stringify(endpoint)} }`);
    const configs = machines(spec).machines.flatMap(({ processes }) => processes).flatMap(({ name, config }) => (config["bundleEndpoint"] === undefined ? [] : [[name, config["bundleEndpoint"]]]));
    expect(configs).toEqual([["a-eu-plane", { ...endpoint, port: 7412 }], ["a-us-plane", { ...endpoint, port: 8412 }]]);
    const readme = bootstrapFiles(described(spec), { home: "/opt/atoll", hasKeys: true, source: "" }).get("README.md")?.text;
    expect(readme).toContain("`/etc/tls/full.pem` and `/etc/tls/key.pem` on e, `/etc/tls/full.pem` and `/etc/tls/key.pem` on u");
    expect(readme).toContain("7410 discovery, 7411 join, 7420 admin, 7421 metrics, 7412 bundle");
  });

  it("leads each plane to the engines of its region, and to the other region's bus as second choice", () => {
    expect(readConfig(JSON.stringify(configOf("a-us-plane")["store"]), "store", storeField)).toEqual({ kind: "etcd", endpoints: ["https://[2001:db8::1]:3379"] });
    expect(readConfig(JSON.stringify(configOf("a-us-plane")["bus"]), "bus", busField)).toEqual({ kind: "nats", servers: ["tls://[2001:db8::1]:5222", "tls://10.1.0.1:4222"] });
    expect(configOf("b-eu-plane")["bus"]).toMatchObject({ servers: ["tls://10.1.0.1:4222", "tls://[2001:db8::1]:5222"] });
  });

  it("leads each plane to every member of its region's engines, the one on its own host first", () => {
    const three = `  regions: [{ name: eu }, { name: us }]
  hosts: [{ name: e1, address: 10.1.0.1, region: eu }, { name: e2, address: 10.1.0.2, region: eu }, { name: e3, address: 10.1.0.3, region: eu }, { name: u, address: 10.2.0.1, region: us }]
  clusters: [{ name: a, region: eu, host: e2 }, { name: b, region: us }]
  engines: { kind: etcd-nats, places: [{ region: eu, hosts: [e1, e2, e3] }] }
`;
    const plane = machines(three).machines.flatMap(({ processes }) => processes).find(({ name }) => name === "a-plane")?.config ?? {};
    expect(plane["store"]).toEqual({ kind: "etcd", endpoints: ["https://10.1.0.2:2379", "https://10.1.0.1:2379", "https://10.1.0.3:2379"] });
    expect(plane["bus"]).toEqual({ kind: "nats", servers: ["tls://10.1.0.2:4222", "tls://10.1.0.1:4222", "tls://10.1.0.3:4222", "tls://10.2.0.1:4222"] });
    const files = bootstrapFiles(described(three), { home: "/opt/atoll", hasKeys: true, source: "" });
    const etcd = files.get("hosts/e3/config/etcd.env")?.text ?? "";
    for (const words of ["--name=e3 ", "--initial-cluster=e1=https://10.1.0.1:2380,e2=https://10.1.0.2:2380,e3=https://10.1.0.3:2380 ", "--initial-cluster-token=shop.atoll-eu ", "--peer-cert-allowed-cn=@eu "]) expect(etcd).toContain(words);
    expect(files.get("hosts/e3/config/nats.conf")?.text).toContain('authorization { user: "spiffe://shop.atoll/atoll/engine/eu" }');
    expect(files.get("hosts/e3/systemd/atoll-etcd.service")).toBeDefined();
    expect(files.get("hosts/u/config/etcd.env")?.text).toContain("--listen-peer-urls=http://127.0.0.1:2380 ");
    expect(files.get("README.md")?.text).toContain("10.1.0.1:2379, 10.1.0.1:4222, 2380 between members of etcd, 6222 between nats-servers here, 7222 between regions");
  });

  it("has a gateway on each host that the cluster names, and others dial what stands in front of them", () => {
    const spec = (address: string): string => `  regions: [{ name: eu }]
  hosts: [{ name: e1, address: 10.1.0.1 }, { name: e2, address: 10.1.0.2 }]
  clusters: [{ name: a, gateways: { hosts: [e2, e1]${address} } }, { name: b, host: e2 }]
`;
    const behind = machines(spec(", address: gateways.eu.example"));
    const gateways = behind.machines.flatMap(({ host, processes }) => processes.filter(({ config }) => config["mode"] === "gateway").map(({ name, config, tokens }) => [host.name, name, config["address"], (config["ports"] as { readonly gateway: number }).gateway, tokens[0]?.purpose]));
    expect(gateways).toEqual([
      ["e1", "a-gateway-2", "10.1.0.1", 15443, "gateway"],
      ["e2", "a-gateway", "10.1.0.2", 15443, "gateway"],
      ["e2", "b-gateway", "10.1.0.2", 15543, "gateway"],
    ]);
    expect(behind.addresses.gateways("a")).toEqual([{ address: "gateways.eu.example", port: 15443 }]);
    expect(behind.addresses.gateways("b")).toEqual([{ address: "10.1.0.2", port: 15543 }]);
    expect(machines(spec("")).addresses.gateways("a")).toEqual([{ address: "10.1.0.2", port: 15443 }, { address: "10.1.0.1", port: 15443 }]);
  });

  it("has each plane join with a token, and enrol with its signer by another", () => {
    const tokens = machines().machines.flatMap(({ processes }) => processes).map(({ name, tokens: needs }) => [name, needs.map(({ file, purpose, cluster }) => `${file} ${purpose} ${cluster ?? "global"}`)]);
    expect(Object.fromEntries(tokens)).toMatchObject({
      global: [],
      "a-eu-plane": ["a-eu-plane.join cluster:a-eu global"],
      "a-us-plane": ["a-us-plane.join cluster:a-us global", "a-us-plane.signer enrolment:a-us a-eu"],
      "b-eu-gateway": ["b-eu-gateway gateway b-eu"],
      "a-us-front-proxy": ["a-us-front-proxy workload:default/front a-us"],
    });
    expect(configOf("a-us-plane")).toMatchObject({ globalJoinTokenFile: "/srv/u/etc/atoll/tokens/a-us-plane.join", signer: { kind: "remote", tokenFile: "/srv/u/etc/atoll/tokens/a-us-plane.signer" } });
    expect(configOf("a-us-front-proxy")).toMatchObject({ upstreams: ["ledger.default.svc.b.example"] });
  });

  it("opens a port of the caller's sidecar for each TCP service, that of the service unless the file has another", () => {
    const spec = `  regions: [{ name: eu }]
  hosts: [{ name: e, address: 10.1.0.1 }, { name: d, address: 10.1.0.2 }]
  services:
    - { name: front, tcpUpstreams: [{ service: core/db }, { service: core/cache, localPort: 7000 }] }
    - { name: db, namespace: core, protocol: tcp, port: 5432, instances: [{ cluster: eu, host: d }], appPort: 5432 }
    - { name: cache, namespace: core, protocol: tcp, port: 6379, instances: [{ cluster: eu, host: d }], appPort: 6379 }
`;
    const configs = new Map(machines(spec).machines.flatMap(({ processes }) => processes).map(({ name, config }) => [name, config]));
    expect(configs.get("eu-front-proxy")?.["tcpListeners"]).toEqual([
      { port: 5432, service: "core/db", servicePort: 5432 },
      { port: 7000, service: "core/cache", servicePort: 6379 },
    ]);
    expect(configs.get("eu-db-proxy")).not.toHaveProperty("tcpListeners");
  });

  it("has the sidecars of a service hand it its identity, in their own directories", () => {
    const spec = "  regions: [{ name: eu }]\n  hosts: [{ name: e, address: 10.1.0.1 }]\n  services: [{ name: front, workloadApi: true }, { name: back, appPort: 9000 }]\n";
    const configs = new Map(machines(spec).machines.flatMap(({ processes }) => processes).map(({ name, config }) => [name, config]));
    expect(configs.get("eu-front-proxy")).toMatchObject({ dataDir: "/var/lib/atoll/eu-front-proxy", workloadApi: { path: "/var/lib/atoll/eu-front-proxy/workload.sock" } });
    expect(configs.get("eu-back-proxy")).not.toHaveProperty("workloadApi");
  });

  it("has a host that is dialled by a name listen on the address behind it, and tells everybody the name", () => {
    const layout = machines(`  regions: [{ name: eu }]
  hosts: [{ name: e, address: e.shop.example, listen: 10.1.0.1 }]
  services: [{ name: front }]
`);
    const [machine] = layout.machines;
    const configs = new Map(machine?.processes.map(({ name, config }) => [name, config]));
    expect(configs.get("global")).toMatchObject({ listen: { address: "10.1.0.1" }, advertiseAddress: "e.shop.example", store: { endpoints: ["https://e.shop.example:2379"] }, bus: { servers: ["tls://e.shop.example:4222"] } });
    expect(configs.get("eu-plane")).toMatchObject({ listen: { address: "10.1.0.1" }, advertiseAddress: "e.shop.example" });
    expect(configs.get("eu-front-proxy")).toMatchObject({ address: "10.1.0.1" });
    expect([layout.addresses.planeAddress("eu").host, layout.addresses.gateways("eu")[0]?.address]).toEqual(["e.shop.example", "e.shop.example"]);
    const files = bootstrapFiles(layout.description, { home: "/opt/atoll", hasKeys: true, source: "" });
    const textOf = (path: string): string => files.get(path)?.text ?? "";
    expect(textOf("hosts/e/config/etcd.env")).toContain("--listen-client-urls=https://10.1.0.1:2379 --advertise-client-urls=https://e.shop.example:2379");
    expect(textOf("hosts/e/config/nats.conf")).toMatch(/^host: "10\.1\.0\.1"\n(.*\n)*client_advertise: "e\.shop\.example:4222"\n(.*\n)* {2}advertise: "e\.shop\.example:7222"\n/m);
  });

  it("binds the file's clients at every plane, and writes a context for each that leads to all planes", () => {
    const description = described(`${two}  clients: [{ name: a-team, trustDomains: [a.example] }]\n`);
    const layout = layOutMachines(description, "/opt/atoll");
    const planes = layout.machines.flatMap(({ processes }) => processes).filter(({ program }) => program !== "proxy");
    expect(planes.map(({ name }) => name)).toEqual(["global", "a-eu-plane", "b-eu-plane", "a-us-plane"]);
    for (const { config } of planes) {
      expect(readConfig(JSON.stringify(config["access"]), "access", accessField)).toEqual({
        bindings: [{ role: "operator", subject: { spiffeId: "spiffe://shop.atoll/atoll/client/a-team" }, trustDomains: ["a.example"] }],
      });
    }
    expect(machines().machines.flatMap(({ processes }) => processes).some(({ config }) => "access" in config)).toBe(false);
    const files = bootstrapFiles(description, { home: "/opt/atoll", hasKeys: true, source: "" });
    expect(JSON.parse(files.get("clients/a-team.json")?.text ?? "")).toEqual({ ...(JSON.parse(files.get("context.json")?.text ?? "") as object), admin: "../keys/clients/a-team.json" });
    expect(files.get("README.md")?.text).toContain("`clients/a-team.json` with `keys/clients/a-team.json`");
  });

  it("has every plane back itself up where the file asks for it, in words that its program takes", () => {
    const { recipient } = createBackupKey();
    const layout = layOutMachines(described(`${two}  backups: { recipients: ["${recipient}"], keep: 7 }\n`), "/opt/atoll");
    const planes = layout.machines.flatMap(({ processes }) => processes).filter(({ program }) => program !== "proxy");
    expect(planes.map(({ config }) => readConfig(JSON.stringify(config["backups"]), "backups", backupField))).toEqual(planes.map(() => ({ everySeconds: 3_600, keep: 7, recipients: [recipient] })));
    expect(machines().machines.flatMap(({ processes }) => processes).some(({ config }) => "backups" in config)).toBe(false);
  });

  it("writes instructions that name every token after the step that its maker needs, and the relationships before the proxies", () => {
    const text = bootstrapFiles(described(two), { home: "/opt/atoll", hasKeys: true, source: "" }).get("README.md")?.text ?? "";
    const order = ["install.sh", "20-clusters.yaml", "cluster:a-eu", "cluster:b-eu", "enrolment:a-us --cluster a-eu", "30-services", "relationship declare", "relationship approve r --as a.example --as b.example", "token create gateway --cluster a-eu"];
    const places = order.map((words) => text.indexOf(words));
    expect(places.every((place) => place > 0)).toBe(true);
    expect([...places].sort((a, b) => a - b)).toEqual(places);
  });

  it("is refused without hosts, on embedded engines, and where a host has no ports left", () => {
    expect(() => machines("  regions: [{ name: eu }]\n")).toThrow(expect.objectContaining({ code: "ATOLL_USAGE", message: expect.stringContaining("spec.hosts") as string }));
    expect(() => machines(`${two}  engines: { kind: embedded }\n`)).toThrow(/embedded/);
    const many = Array.from({ length: 130 }, (_, index) => `    - { name: s${index}, appPort: ${1000 + index} }\n`).join("");
    expect(() => machines(`  regions: [{ name: eu }]\n  hosts: [{ name: e, address: 10.0.0.1, portOffset: 40000 }]\n  services:\n${many}`)).toThrow(/host e carries \d+ processes of the kind sidecar/);
  });
});
