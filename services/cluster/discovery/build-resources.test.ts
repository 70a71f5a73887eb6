import { describe, expect, it } from "vitest";
import type { ClusterId, RegionId, ServiceHost, SpiffeId, TrustDomainName } from "#federation/model/names.ts";
import { apiVersion, type TrafficPolicy } from "#federation/model/resource.ts";
import { clusterState, endpoint, serviceExport, serviceImport } from "../cluster-state-fixture.ts";
import { deriveExports } from "../exports/derive-exports.ts";
import { buildGatewayRoutes, buildInbound, buildServices } from "./build-resources.ts";

const storefront = "storefront.web.svc.shop.example" as ServiceHost;
const payments = serviceImport({
  namespace: "core",
  name: "payments",
  trustDomain: "pay.example" as TrustDomainName,
  cluster: "pay-us-1" as ClusterId,
  serverIdentities: ["spiffe://pay.example/ns/core/sa/payments" as SpiffeId],
});

describe("buildServices", () => {
  it("merges one service of one trust domain over its clusters, own cluster first", () => {
    const view = buildServices(clusterState({ imports: [serviceImport({ cluster: "a-first" as ClusterId }), serviceImport({})] })).get(storefront);
    expect(view?.places.map((place) => `${place.kind}:${place.cluster}`)).toEqual(["local:shop-eu", "remote:a-first", "remote:shop-us"]);
    expect(view?.aliases).toContain("storefront.web");
  });

  it("never merges a foreign service with ours, nor gives it a short name", () => {
    const foreign = serviceImport({ trustDomain: "pay.example" as TrustDomainName, serverIdentities: ["spiffe://pay.example/ns/web/sa/storefront" as SpiffeId] });
    const services = buildServices(clusterState({ imports: [foreign] }));
    expect(services.get(storefront)?.places).toHaveLength(1);
    expect(services.get(storefront)?.serverIdentities).toEqual(["spiffe://shop.example/ns/web/sa/storefront"]);
    expect(services.get("storefront.web.svc.pay.example" as ServiceHost)?.aliases).toEqual([]);
  });

  it("chooses the gateway addresses meant for its own region", () => {
    const gateways = [
      { address: "10.0.0.1", port: 1 },
      { address: "10.0.0.2", port: 2, regions: ["eu-west" as RegionId] },
      { address: "10.0.0.3", port: 3, regions: ["ap-south" as RegionId] },
    ];
    const view = buildServices(clusterState({ imports: [serviceImport({ gateways })] })).get(storefront);
    expect(view?.places[1]).toMatchObject({ gateways: [{ address: "10.0.0.2", port: 2 }] });
  });

  it("marks an instance without a session unknown, and one that said it is not ready as such", () => {
    const endpoints = [
      endpoint("a", "web", "storefront"),
      endpoint("b", "web", "storefront", { attached: false }),
      endpoint("c", "web", "storefront", { attached: false, ready: false }),
    ];
    const place = buildServices(clusterState({ endpoints })).get(storefront)?.places[0];
    expect(place?.kind === "local" && place.endpoints.map((one) => one.readiness)).toEqual(["ready", "unknown", "notReady"]);
  });

  it("applies the policy that targets the service and fills in what it leaves out", () => {
    const policy: TrafficPolicy = {
      apiVersion,
      kind: "TrafficPolicy",
      metadata: { name: "fast", namespace: "web" },
      spec: { targetRef: { namespace: "web", name: "storefront" }, timeouts: { requestMs: 900 } },
    };
    const view = buildServices(clusterState({ policies: [policy] })).get(storefront);
    expect(view?.policy.timeouts).toMatchObject({ requestMs: 900, connectMs: 2_000 });
    expect(view?.policy.locality).toEqual({ mode: "nearest" });
  });
});

describe("buildInbound", () => {
  it("opens a port to the own trust domain only, until a relationship names more", () => {
    const own = "spiffe://shop.example/ns/web/sa/storefront" as SpiffeId;
    const sni = `p80.${storefront}`;
    expect(buildInbound(clusterState(), own).get(sni)?.callers).toEqual([{ trustDomain: "shop.example", principals: ["*"] }]);
    const relationship = {
      name: "r",
      callerTrustDomain: "pay.example" as TrustDomainName,
      principals: ["spiffe://pay.example/ns/core/sa/billing" as SpiffeId],
      calleeTrustDomain: "shop.example" as TrustDomainName,
      services: ["web/storefront"],
      untilMs: Date.UTC(2099, 0, 1),
    };
    expect(buildInbound(clusterState({ relationships: [relationship] }), own).get(sni)?.callers).toHaveLength(2);
    expect(buildInbound(clusterState({ relationships: [{ ...relationship, services: ["web/other"] }] }), own).get(sni)?.callers).toHaveLength(1);
  });

  it("gives a workload only the services that its identity may back", () => {
    expect(buildInbound(clusterState(), "spiffe://shop.example/ns/web/sa/edge" as SpiffeId).size).toBe(0);
  });
});

describe("what a cluster exports", () => {
  it("is nothing until a ServiceExport says so, at the gateway and to others alike", () => {
    expect(deriveExports(clusterState()).size).toBe(0);
    expect(buildGatewayRoutes(clusterState()).size).toBe(0);
    const exported = clusterState({ exports: new Map([["web/storefront", serviceExport("web", "storefront")]]), imports: [payments] });
    expect([...deriveExports(exported).keys()]).toEqual([storefront]);
    expect([...buildGatewayRoutes(exported).keys()]).toEqual([`p80.${storefront}`]);
  });

  it("stays inside the namespaces that the cluster may export", () => {
    const state = clusterState({ exports: new Map([["web/storefront", serviceExport("web", "storefront")]]) });
    const cluster = state.clusters.get("shop-eu");
    if (cluster === undefined) throw new Error("the fixture has a cluster");
    const fenced = { ...state, clusters: new Map([["shop-eu", { ...cluster, spec: { ...cluster.spec, exportNamespaces: ["core"] } }]]) };
    expect(deriveExports(fenced).size).toBe(0);
    expect(buildGatewayRoutes(fenced).size).toBe(0);
  });

  it("counts an instance that is missed apart from the ready ones, and one that may come back any moment among them: a plane's restart says nothing new", () => {
    const state = clusterState({
      exports: new Map([["web/storefront", serviceExport("web", "storefront")]]),
      endpoints: [
        endpoint("a", "web", "storefront", { attached: false }),
        endpoint("b", "web", "storefront", { attached: false, isMissed: true }),
        endpoint("c", "web", "storefront", { attached: false, isMissed: true, ready: false }),
      ],
    });
    expect(deriveExports(state).get(storefront)?.value).toMatchObject({ endpointsReady: 1, endpointsUnknown: 1, endpointsTotal: 3 });
  });
});
