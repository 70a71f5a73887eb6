import { describe, expect, it } from "vitest";
import { createBackupKey } from "#federation/model/backup-recipient.ts";
import { parseFederation } from "#federation/model/parse/parse-federation.ts";
import { bundleAddresses } from "./bundle-endpoints.ts";
import { localPlanOf } from "./described-plan.ts";
import type { FederationPlan } from "./federation-plan.ts";
import { changedForLife, compareProcesses, compareResources } from "./plan-change.ts";
import { PortBlock } from "./port-block.ts";
import { serviceFiles } from "./resource-files.ts";
import { embeddedEngines, layOut, portBlockSize, portCountOf, type Topology } from "./topology.ts";
import { waysToCall } from "./ways-to-call.ts";

function plan(spec: string): FederationPlan {
  const outcome = parseFederation(`apiVersion: atoll.dev/v1alpha1\nkind: Federation\nmetadata: { name: shop }\nspec:\n${spec}`, "f.yaml");
  if (outcome.kind === "faults") throw new Error(JSON.stringify(outcome.faults));
  return localPlanOf(outcome.value, "/project");
}

function laidOut(spec: string, ports: Readonly<Record<string, number>> = {}): Topology {
  return layOut(plan(spec), { dataDir: "/state", home: "/home", node: "/node", ports: new PortBlock(20_000, portBlockSize, ports), engines: embeddedEngines("/state") });
}

const two = `  regions: [{ name: eu }, { name: us }]
  services:
    - { name: front, namespace: web, directory: front, command: [node, server.js, "--port={port}"], env: { MODE: test }, readiness: { path: /ready } }
`;
const withBack = `${two}    - { name: back, namespace: web, clusters: [us], appPort: 9000 }\n`;

describe("a described federation, laid out", () => {
  it("starts the user's command for each instance, told where to listen, where to call and where it is", () => {
    const { processes, instances } = laidOut(two);
    const app = processes.find(({ spec }) => spec.name === "us-front-app");
    const placed = instances.find(({ instance }) => instance.name === "us-front");
    expect(app?.spec).toMatchObject({ kind: "app", region: "us", command: "node", args: ["server.js", `--port=${placed?.appPort}`], cwd: "/project/front", readyPort: placed?.appPort, isGroup: true });
    expect(app?.spec.env).toEqual({ PORT: String(placed?.appPort), ATOLL_OUTBOUND: `http://127.0.0.1:${placed?.outboundPort}`, ATOLL_REGION: "us", ATOLL_CLUSTER: "us", MODE: "test" });
    const sidecar = processes.find(({ spec }) => spec.name === "us-front-proxy")?.config;
    expect(sidecar?.["workload"]).toMatchObject({ services: [{ namespace: "web", service: "front", port: 80, appPort: placed?.appPort }], readiness: { path: "/ready" } });
  });

  it("opens a port of the caller's sidecar for each TCP service, and tells the application", () => {
    const spec = (clusters: string): string => `  regions: [{ name: eu }, { name: us }]
  services:
    - { name: front, clusters: ${clusters}, command: [node, server.js], tcpUpstreams: [{ service: core/order-db, localPort: 15432 }] }
    - { name: order-db, namespace: core, protocol: tcp, port: 5432, appPort: 5432 }
`;
    const { processes, instances, ports } = laidOut(spec("[eu, us]"));
    const [eu, us] = ["eu", "us"].map((cluster) => ports[`${cluster}-front-proxy.tcp-core-order-db`]);
    expect(eu).not.toBe(us);
    const configOf = (name: string): unknown => processes.find(({ spec: { name: its } }) => its === name)?.config["tcpListeners"];
    expect(configOf("us-front-proxy")).toEqual([{ port: us, service: "core/order-db", servicePort: 5432 }]);
    expect(configOf("us-order-db-proxy")).toBeUndefined();
    expect(processes.find(({ spec: { name } }) => name === "us-front-app")?.spec.env?.["ATOLL_TCP_CORE__ORDER_DB"]).toBe(`127.0.0.1:${us}`);
    const [way] = waysToCall(laidOut(spec("[eu]"))).filter(({ service }) => service === "default/front");
    expect(way?.tcp).toEqual([{ service: "core/order-db", address: "127.0.0.1:15432", variable: "ATOLL_TCP_CORE__ORDER_DB" }]);
    expect(way?.example).toContain("Host: front.default");
    expect(instances.filter(({ workload }) => workload.service === "order-db").map(({ tcpPorts }) => tcpPorts)).toEqual([[], []]);
    const resources = serviceFiles(plan(spec("[eu]"))).flatMap((file) => file.resources);
    expect(resources.find(({ kind, metadata }) => kind === "Service" && metadata.name === "order-db")?.spec).toMatchObject({ ports: [{ name: "tcp", port: 5432, protocol: "tcp" }] });
  });

  it("has the sidecars of a service hand it its identity, and tells each application where", () => {
    const spec = (more: string): string => `  regions: [{ name: eu }, { name: us }]\n  services:\n    - { name: front, command: [node, server.js]${more} }\n    - { name: back, appPort: 9000, workloadApi: false }\n`;
    const topology = laidOut(spec(", workloadApi: true"));
    const { processes } = topology;
    const specOf = (name: string): Topology["processes"][number] | undefined => processes.find(({ spec: { name: its } }) => its === name);
    const path = "/state/us-front-proxy/workload.sock";
    expect(specOf("us-front-proxy")?.config["workloadApi"]).toEqual({ path });
    expect(specOf("us-front-app")?.spec.env?.["SPIFFE_ENDPOINT_SOCKET"]).toBe(`unix://${path}`);
    expect([specOf("us-front-app")?.stage, specOf("us-front-proxy")?.stage], "after its sidecar").toEqual(["identifiedApps", "proxies"]);
    expect(specOf("us-back-proxy")?.config).not.toHaveProperty("workloadApi");
    expect(waysToCall(topology).flatMap(({ service, cluster, identity }) => (identity === undefined ? [] : [`${service} ${cluster} ${identity}`]))).toContain(`default/front us SPIFFE_ENDPOINT_SOCKET=unix://${path}`);
    const dataDir = `/${"x".repeat(80)}`;
    expect(() => layOut(topology.plan, { dataDir, home: "/home", node: "/node", ports: new PortBlock(20_000, portBlockSize), engines: embeddedEngines(dataDir) })).toThrow(/a unix socket's path may have 103: choose a shorter data directory/);
    const { restarted } = compareProcesses(laidOut(spec("")), topology);
    expect(restarted.toSorted()).toEqual(["eu-front-app", "eu-front-proxy", "us-front-app", "us-front-proxy"]);
  });

  it("binds the file's clients at every plane; another one needs planes that start anew", () => {
    const withClients = (names: string): Topology => laidOut(`${two}  clients: [${names}]\n`);
    const one = withClients("{ name: team, trustDomains: [shop.mesh] }");
    const access = one.processes.flatMap(({ config }) => ("access" in config ? [config["access"]] : []));
    expect(access).toEqual(Array.from({ length: 3 }, () => ({ bindings: [{ role: "operator", trustDomains: ["shop.mesh"], spiffeId: "spiffe://shop.atoll/atoll/client/team" }] })));
    expect(compareProcesses(one, withClients("{ name: team, role: viewer }")).needsDown).toHaveLength(3);
  });

  it("has every plane back itself up for the file's recipients, which lasts over a restart of the command", () => {
    const { recipient } = createBackupKey();
    const topology = laidOut(`${two}  backups: { recipients: ["${recipient}"], everySeconds: 900 }\n`);
    expect(topology.processes.flatMap(({ config }) => config["backups"] ?? [])).toEqual(Array.from({ length: 3 }, () => ({ recipients: [recipient], everySeconds: 900 })));
    expect(compareProcesses(laidOut(two), topology).needsDown).toHaveLength(3);
    for (const words of ['recipients: ["age1xyz"]', "recipients: []", `recipients: ["${recipient}"], keep: 0`, `recipients: ["${recipient}"], passphrase: x`]) {
      expect(() => laidOut(`${two}  backups: { ${words} }\n`), words).toThrow();
    }
  });

  it("has every plane of a trust domain serve its bundle, each at a port of its own, and says where", () => {
    const spec = (words: string): string => `${two}  trustDomains: [{ name: shop.example${words} }, { name: pay.example }]\n  clusters: [{ name: eu, region: eu, trustDomain: shop.example }, { name: us, region: us, trustDomain: shop.example }, { name: pay, region: us, trustDomain: pay.example }]\n`.replace("name: front,", "name: front, trustDomain: shop.example,");
    const without = laidOut(spec(""));
    const topology = laidOut(spec(", bundleEndpoint: { profile: https_spiffe }"), without.ports);
    const [eu, us] = ["eu", "us"].map((cluster) => topology.ports[`${cluster}-plane.bundlePort`]);
    expect(eu).not.toBe(us);
    const configs = topology.processes.flatMap(({ spec: { name }, config }) => (config["bundleEndpoint"] === undefined ? [] : [[name, config["bundleEndpoint"]]]));
    expect(configs).toEqual([["eu-plane", { profile: "https_spiffe", port: eu }], ["us-plane", { profile: "https_spiffe", port: us }]]);
    expect(bundleAddresses(topology)).toEqual([eu, us].map((port) => ({ trustDomain: "shop.example", url: `https://127.0.0.1:${port}/`, profile: "https_spiffe", spiffeId: "spiffe://shop.example/atoll/bundle-endpoint" })));
    expect(compareProcesses(without, topology).needsDown).toEqual(["eu-plane", "us-plane"].map((name) => `${name} is to run with another configuration`));
    const web = laidOut(spec(", bundleEndpoint: { profile: https_web, certificateFile: /etc/tls/full.pem, keyFile: /etc/tls/key.pem }"), topology.ports);
    expect(bundleAddresses(web)[0]).not.toHaveProperty("spiffeId");
    expect(web.processes.find(({ spec: { name } }) => name === "us-plane")?.config["bundleEndpoint"]).toEqual({ profile: "https_web", certificateFile: "/etc/tls/full.pem", keyFile: "/etc/tls/key.pem", port: us });
    for (const words of ["profile: https", "profile: https_web", "profile: https_web, certificateFile: full.pem, keyFile: /key.pem", "profile: https_spiffe, keyFile: /key.pem"]) {
      expect(() => laidOut(spec(`, bundleEndpoint: { ${words} }`)), words).toThrow();
    }
  });

  it("leads sidecars to an application that runs by itself, and starts none", () => {
    const { processes, instances } = laidOut(withBack);
    expect(instances.find(({ instance }) => instance.name === "us-back")?.appPort).toBe(9000);
    expect(processes.some(({ spec }) => spec.name === "us-back-app")).toBe(false);
  });

  it("gives commands that share a port on hosts of their own other ports here, and refuses that of applications that run by themselves", () => {
    const shared = (command: string): string => `  regions: [{ name: eu }]
  hosts: [{ name: e, address: 10.0.0.1 }, { name: f, address: 10.0.0.2 }]
  services:
    - { name: a, appPort: 9000, ${command} instances: [{ cluster: eu, host: e }] }
    - { name: b, appPort: 9000, ${command} instances: [{ cluster: eu, host: f }] }
`;
    const ports = laidOut(shared("command: [x],")).instances.map(({ appPort }) => appPort);
    expect(new Set(ports).size).toBe(2);
    expect(ports).not.toContain(9000);
    expect(() => laidOut(shared(""))).toThrow(expect.objectContaining({ code: "ATOLL_USAGE", message: expect.stringContaining("default/a and default/b both listen on 9000") as string }));
  });

  it("plays no delays between regions that do not say where they lie", () => {
    const { processes, addresses } = laidOut(two);
    expect(processes.some(({ spec }) => spec.kind === "relay")).toBe(false);
    expect(addresses.gateways("eu")).toHaveLength(1);
  });

  it("has enough ports for a large one", () => {
    const many = Array.from({ length: 60 }, (_, index) => `    - { name: s${index}, command: [x] }\n`).join("");
    expect(portCountOf(plan(`  regions: [{ name: eu }]\n  services:\n${many}`))).toBeGreaterThan(60 * 5);
  });

  it("says of each instance how it calls another service", () => {
    const ways = waysToCall(laidOut(withBack));
    const front = ways.find(({ service, cluster }) => service === "web/front" && cluster === "eu");
    expect(front).toMatchObject({ region: "eu", example: `curl ${front?.sidecar}/ -H 'Host: back.web'`, log: "/state/logs/eu-front-app.log" });
    expect(ways.find(({ service }) => service === "web/back")?.log).toBeUndefined();
  });
});

describe("an edit of a described federation", () => {
  const before = laidOut(two);
  const edit = (spec: string): Topology => laidOut(spec, before.ports);
  const changed = (after: Topology): readonly string[] => {
    const change = compareResources(before, after);
    return ["global", "eu", "us"].flatMap((plane) =>
      ["Service", "ServiceExport", "Cluster", "Region", "TrafficPolicy"].flatMap((kind) =>
        ["front", "back", "eu", "us"].flatMap((name) => {
          const metadata = ["Cluster", "Region"].includes(kind) ? { name } : { name, namespace: "web" };
          return change.isChanged(plane, { kind, metadata }) ? [`${plane} ${kind} ${name}`] : [];
        }),
      ),
    );
  };

  it("that changes nothing is none", () => {
    const after = edit(two);
    expect(compareProcesses(before, after)).toEqual({ removed: [], restarted: [], needsDown: [] });
    expect(compareResources(before, after)).toMatchObject({ isEmpty: true, deleted: [], relationships: [] });
  });

  it("adds a service without moving anybody else", () => {
    const after = edit(withBack);
    expect(after.ports).toMatchObject(before.ports);
    expect(compareProcesses(before, after)).toEqual({ removed: [], restarted: [], needsDown: [] });
    expect(changed(after)).toEqual(["us Service back", "us ServiceExport back"]);
    const away = compareResources(after, before);
    expect(away.deleted.map(({ plane, kind, path }) => `${plane} ${kind} ${path.name}`)).toEqual(["us ServiceExport back", "us Service back"]);
    expect(compareProcesses(after, before).removed).toEqual(["us-back-proxy"]);
  });

  it("restarts an application whose command changes, and nobody else", () => {
    expect(compareProcesses(before, edit(two.replace("MODE: test", "MODE: live")))).toEqual({ removed: [], restarted: ["eu-front-app", "us-front-app"], needsDown: [] });
  });

  it("adds a region while the others run, and does not take one away", () => {
    const three = edit(two.replace("{ name: us }", "{ name: us }, { name: ap }"));
    expect(compareProcesses(before, three)).toEqual({ removed: [], restarted: [], needsDown: [] });
    expect(compareProcesses(three, before)).toMatchObject({ needsDown: ["ap-plane is not wanted any more", "ap-gateway is not wanted any more"] });
  });

  it("leaves each cluster its trust domain, its region and its role", () => {
    const clusters = (text: string): FederationPlan => plan(`  regions: [{ name: eu }, { name: us }]\n  clusters: [${text}]\n`);
    const old = clusters("{ name: x, region: eu, trustDomain: a.example }, { name: y, region: us, trustDomain: a.example }");
    expect(changedForLife(old, old)).toEqual([]);
    expect(changedForLife(old, clusters("{ name: x, region: eu, trustDomain: a.example }, { name: z, region: us, trustDomain: a.example }"))).toEqual([]);
    expect(changedForLife(old, clusters("{ name: x, region: us, trustDomain: a.example }, { name: y, region: us, trustDomain: b.example }"))).toEqual(["x is in eu, not in us", "y is of a.example, not of b.example"]);
    expect(changedForLife(old, clusters("{ name: y, region: us, trustDomain: a.example }, { name: x, region: eu, trustDomain: a.example }"))).toEqual(["x is the signer of a.example", "y is not the signer of a.example"]);
  });

  it("tells relationships that are new, that changed and that went", () => {
    const relationships = (days: number): string => `  clusters: [{ name: eu, region: eu, trustDomain: a.example }, { name: us, region: us, trustDomain: b.example }]
  relationships: [{ name: r, caller: { trustDomain: a.example, principals: ["*"] }, callee: { trustDomain: b.example, services: [default/x] }, validDays: ${days} }]
  regions: [{ name: eu }, { name: us }]
  services: [{ name: x, clusters: [us] }]
`;
    const one = laidOut(relationships(1));
    expect(compareResources(undefined, one).relationships).toHaveLength(1);
    expect(compareResources(one, laidOut(relationships(1), one.ports)).isEmpty).toBe(true);
    expect(compareResources(one, laidOut(relationships(2), one.ports)).relationships).toMatchObject([{ name: "r", validDays: 2 }]);
    const without = laidOut(relationships(1).replace(/ {2}relationships: .*\n/, ""), one.ports);
    expect(compareResources(one, without).deleted).toEqual([{ plane: "global", kind: "Relationship", path: { name: "r" } }]);
  });
});
