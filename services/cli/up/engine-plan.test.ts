import { describe, expect, it } from "vitest";
import { demoFederation } from "./demo-federation.ts";
import { engineCertificates, engineCountOf, enginePortsOf, realEngines, type EngineSetup } from "./engine-plan.ts";
import { PortBlock } from "./port-block.ts";

const programs = { etcd: "/usr/bin/etcd", natsServer: "/usr/sbin/nats-server" };
const plan = demoFederation;
const laidOut = (setup: EngineSetup, ports = new PortBlock(20_000, 400)) => realEngines(plan, { dataDir: "/state", home: "/home", ports, setup });

describe("the real engines of a federation on one machine", () => {
  it("are an etcd for each plane, which lets in nobody else, and a nats-server for each region", () => {
    const engines = laidOut({ ...programs, hasStorePerPlane: true });
    const { processes } = engines;
    const etcd = processes.find(({ spec }) => spec.name === "pay-eu-1-etcd")?.spec;
    expect(etcd).toMatchObject({ region: "eu-west", args: expect.arrayContaining(["--client-cert-allowed-hostname=pay-eu-1.store.atoll.internal"]) });
    const stores = ["global", ...plan.clusters.map(({ name }) => name)].map((owner) => JSON.stringify(engines.store(owner)));
    expect(new Set(stores).size).toBe(plan.clusters.length + 1);
    expect(processes).toHaveLength(engineCountOf(plan, 1));
    // Etcd reads its files at each handshake, and takes this signal for its end.
    for (const { spec } of processes) expect(spec.reloadSignal, spec.name).toBe(spec.name.includes("-nats") ? "SIGHUP" : undefined);
  });

  it("have three members with certificates of their own and one name in common, and a plane knows all of its own", () => {
    const setup = { ...programs, hasStorePerPlane: true, members: 3 };
    const ports = new PortBlock(20_000, 400);
    const engines = laidOut(setup, ports);
    const { processes } = engines;
    const second = processes.find(({ spec }) => spec.name === "shop-eu-etcd-2")?.spec.args ?? [];
    expect(second).toEqual(expect.arrayContaining(["--peer-cert-allowed-cn=@shop-eu-etcd", "--peer-client-cert-auth", expect.stringMatching(/^--initial-cluster=shop-eu-etcd-1=https:.*,shop-eu-etcd-2=https:.*,shop-eu-etcd-3=https:/)]));
    expect((engines.store("shop-eu")["endpoints"] as readonly string[]).length).toBe(3);
    const nats = processes.find(({ spec }) => spec.name === "eu-west-nats-3")?.configText ?? "";
    expect(nats.match(/routes: \[(.*)\]/)?.[1]?.split(", ")).toHaveLength(3);
    expect(nats).toContain(`authorization { user: "spiffe://${plan.federation}/atoll/engine/eu-west-nats" }`);
    expect((engines.bus("shop-eu")["servers"] as readonly string[]).length).toBeGreaterThanOrEqual(6);
    expect(engineCertificates(plan, setup)).toContain("eu-west-nats/eu-west-nats-3:127.0.0.1");
    expect(processes).toHaveLength(engineCountOf(plan, 3));
    expect(Object.keys(ports.taken)).toHaveLength(enginePortsOf(plan, 3));
  });

  it("stay one for each region, with data that is there, in a federation that was made before", () => {
    const engines = laidOut(programs);
    const { processes } = engines;
    expect(processes.map(({ spec }) => spec.name).filter((name) => name.endsWith("-etcd"))).toEqual(["global-etcd", ...plan.regions.map(({ name }) => `${name}-etcd`)]);
    expect(processes.flatMap(({ spec }) => spec.args).join(" ")).not.toContain("--client-cert-allowed-hostname");
    expect(engines.store("pay-eu-1")).toEqual(engines.store("shop-eu"));
    expect(engineCertificates(plan, programs)).toContain("eu-west-etcd:127.0.0.1");
  });
});
