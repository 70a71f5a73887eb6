import { describe, expect, it } from "vitest";
import { demoFederation, twoRegionDemo } from "./demo-federation.ts";
import { oneWayMs } from "./federation-plan.ts";
import { PortBlock } from "./port-block.ts";
import { embeddedEngines, layOut, portBlockSize, processCountOf, type Topology } from "./topology.ts";

function demo(): Topology {
  return layOut(demoFederation, { dataDir: "/state", home: "/home", node: "/node", ports: new PortBlock(20_000, portBlockSize), engines: embeddedEngines("/state") });
}

function portsIn(value: unknown): number[] {
  if (typeof value === "number") return value >= 20_000 ? [value] : [];
  return typeof value === "object" && value !== null ? Object.values(value).flatMap(portsIn) : [];
}

describe("the demo federation, laid out", () => {
  it("gives every process its own name, data directory and configuration file", () => {
    const { processes } = demo();
    for (const pick of [(p: (typeof processes)[number]) => p.spec.name, (p: (typeof processes)[number]) => p.configFile, (p: (typeof processes)[number]) => p.config["dataDir"]]) {
      expect(new Set(processes.map(pick)).size).toBe(processes.length);
    }
  });

  it("lets no two processes listen on one port", () => {
    const listening = demo().processes.flatMap(({ config }) => {
      const links = (config["links"] as { listen: unknown }[] | undefined)?.map((link) => link.listen) ?? [];
      const apps = (config["apps"] as { listen: unknown }[] | undefined)?.map((app) => app.listen) ?? [];
      return portsIn([config["listen"], config["ports"], links, apps]);
    });
    expect(listening.length).toBeGreaterThan(80);
    expect(new Set(listening).size).toBe(listening.length);
  });

  it("kills with a region its planes, gateways, workloads and their sidecars, and neither its users nor their edge", () => {
    const dying = demo().processes.filter(({ spec }) => spec.region === "eu-west").map(({ spec }) => spec.name);
    expect(dying.sort()).toEqual(
      [
        "eu-west-apps", "shop-eu-plane", "shop-eu-gateway", "shop-eu-storefront-proxy", "shop-eu-catalog-proxy",
        "pay-eu-1-plane", "pay-eu-1-gateway", "pay-eu-1-payments-proxy",
      ].sort(),
    );
  });

  it("takes the class of a request from users alone", () => {
    const edges = demo().processes.filter(({ config }) => config["edge"] === true).map(({ spec }) => spec.name);
    expect(edges.sort()).toEqual(["ap-south-edge", "eu-west-edge", "us-east-edge"]);
  });

  it("leads callers of another region through a delayed link to the gateway itself", () => {
    const { addresses, processes } = demo();
    const links = processes.find(({ spec }) => spec.name === "network")?.config["links"] as { listen: { port: number }; target: { port: number }; oneWayMs: number }[];
    const [direct, ...delayed] = addresses.gateways("shop-us");
    expect(direct?.regions).toBeUndefined();
    expect(delayed.map((listing) => listing.regions)).toEqual([["eu-west"], ["ap-south"]]);
    for (const listing of delayed) {
      const link = links.find((candidate) => candidate.listen.port === listing.port);
      expect(link?.target.port).toBe(direct?.port);
      expect(link?.oneWayMs).toBe(oneWayMs(demoFederation, listing.regions?.[0] ?? "", "us-east"));
    }
  });

  it("starts signers before the planes that enrol with them", () => {
    const { processes } = demo();
    for (const { tokens, stage } of processes) {
      for (const token of tokens) {
        if (token.kind !== "enrolment") continue;
        expect(stage).toBe("planes");
        expect(processes.find(({ spec }) => spec.name === `${token.signer}-plane`)?.stage).toBe("signers");
      }
    }
  });

  it("has the applications of a region in one process, each behind a sidecar of its own, and all users in another", () => {
    const { processes } = demo();
    const apps = processes.filter(({ spec }) => spec.kind === "app");
    expect(apps.map(({ spec, config }) => [spec.name, (config["apps"] as { name: string }[]).map(({ name }) => name)])).toEqual([
      ["eu-west-apps", ["shop-eu-storefront", "shop-eu-catalog", "pay-eu-1-payments"]],
      ["us-east-apps", ["shop-us-storefront", "shop-us-catalog", "pay-us-1-payments"]],
      ["ap-south-apps", ["shop-ap-storefront", "shop-ap-catalog"]],
    ]);
    expect(processes.filter(({ spec }) => spec.kind === "users").map(({ config }) => (config["groups"] as { region: string }[]).map(({ region }) => region))).toEqual([["eu-west", "us-east", "ap-south"]]);
  });

  it("keeps in two regions whatever the loss of one needs of the other", () => {
    const kinds = (region: string) => twoRegionDemo.clusters.filter((cluster) => cluster.region === region).map(({ trustDomain }) => trustDomain);
    expect(kinds("eu-west")).toEqual(kinds("us-east"));
    expect(twoRegionDemo.users.map(({ region }) => region)).toEqual(["eu-west", "us-east"]);
    expect(processCountOf(twoRegionDemo)).toBeLessThan(processCountOf(demoFederation));
  });

  it("has no more ports than the block", () => {
    expect(() => layOut(demoFederation, { dataDir: "/state", home: "/home", node: "/node", ports: new PortBlock(20_000, 10), engines: embeddedEngines("/state") })).toThrow(/10 ports/);
  });
});
