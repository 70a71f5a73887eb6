import { expect, it } from "vitest";
import type { ClusterId, RegionId, SpiffeId, TrustDomainName } from "#federation/model/names.ts";
import { apiVersion, type Cluster, type ExportedService, type Relationship } from "#federation/model/resource.ts";
import { connectedAgeMsMax, federationStatus, type FederationView } from "./federation-status.ts";

const shop = "shop.example" as TrustDomainName;
const cluster = (name: string): Cluster => ({ apiVersion, kind: "Cluster", metadata: { name }, spec: { region: "eu-west" as RegionId, trustDomain: shop, exportNamespaces: ["web"], gateways: [] } });
const exported = (name: string, from: string): ExportedService => ({
  namespace: "web",
  name,
  trustDomain: shop,
  cluster: from as ClusterId,
  region: "eu-west" as RegionId,
  ports: [{ name: "http", port: 80, protocol: "http" }],
  serverIdentities: ["spiffe://shop.example/ns/web/sa/a" as SpiffeId],
  gateways: [],
  endpointsReady: 1,
  endpointsTotal: 2,
  asOfMs: 900,
});
const relationship = (name: string, validUntil: string): Relationship => ({
  apiVersion,
  kind: "Relationship",
  metadata: { name },
  spec: {
    caller: { trustDomain: shop, authoritySha256: "", principals: ["*"] },
    callee: { trustDomain: "pay.example" as TrustDomainName, authoritySha256: "", services: ["core/payments"] },
    validUntil,
  },
});
const view: FederationView = {
  federation: "demo.atoll" as TrustDomainName,
  epoch: 1,
  isLeader: true,
  clusters: [cluster("a"), cluster("b"), cluster("c")],
  relationships: [relationship("on", "2099-01-01T00:00:00Z"), relationship("waiting", "2099-01-01T00:00:00Z"), relationship("over", "1970-01-01T00:00:00Z")],
  standing: ({ metadata, spec }) => (metadata.name === "on" ? { inForce: { terms: spec, since: "2026-01-01T00:00:00Z" }, waitsFor: [] } : { waitsFor: ["callee"] }),
  exports: [exported("z", "a"), exported("y", "b"), exported("y", "a")],
  links: new Map([
    ["a", { heardAgeMs: 10.5, sentSeq: 5, acknowledgedSeq: 4, lagMs: 20.7, refusesUs: true, behindSinceMs: undefined, withdrawalsHeld: 0, refused: [{ id: "global/Region/x", reason: "origin" }] }],
    ["b", { heardAgeMs: connectedAgeMsMax + 1, sentSeq: 1, acknowledgedSeq: 1, lagMs: 0, refusesUs: false, behindSinceMs: 7, withdrawalsHeld: 3, refused: [] }],
  ]),
  names: [],
  storeAwaySinceMs: undefined,
  writeFailures: [],
  unfollowed: [],
  store: { state: "sound", epoch: 1 },
  apiOverloads: [],
  authorities: [],
};

it("shows who is heard, who is behind, who never was heard of, and whose withdrawals are held back", () => {
  const { clusters } = federationStatus(view, 1_000);
  expect(clusters.map(({ id, connected, heardAgeMs, lagMs, servicesExported, withdrawalsHeld }) => [id, connected, heardAgeMs, lagMs, servicesExported, withdrawalsHeld])).toEqual([
    ["a", true, 10, 20, 2, undefined],
    ["b", false, connectedAgeMsMax + 1, 0, 1, 3],
    ["c", false, undefined, 0, 0, undefined],
  ]);
});

it("names what a cluster goes on refusing", () => {
  expect(federationStatus(view, 1_000).clusters.map(({ refused }) => refused)).toEqual([[{ id: "global/Region/x", reason: "origin" }], undefined, undefined]);
});

it("joins the places of a service, in an order that does not depend on when they came", () => {
  const { services } = federationStatus(view, 1_000);
  expect(services.map(({ name, places }) => [name, places.map((place) => place.cluster)])).toEqual([["y", ["a", "b"]], ["z", ["a"]]]);
  expect(services[0]?.places[0]).toMatchObject({ ageMs: 100, changedAgeMs: 100, endpointsReady: 1, endpointsTotal: 2 });
});

it("takes a place for as fresh as its cluster was confirmed last, however long nothing has changed there", () => {
  const [link] = [...view.links.values()];
  if (link === undefined) throw new Error("there is a link");
  const { services } = federationStatus({ ...view, links: new Map([["a", { ...link, wholeAgeMs: 20.7 }]]) }, 74_000);
  expect(services[0]?.places.map(({ cluster: name, ageMs, changedAgeMs }) => [name, ageMs, changedAgeMs])).toEqual([["a", 20, 73_100], ["b", 73_100, 73_100]]);
});

it("calls a relationship active only when its approvals count and its date has not passed", () => {
  expect(federationStatus(view, 1_000).relationships.map(({ name, state }) => [name, state])).toEqual([["on", "active"], ["waiting", "waitingForApproval"], ["over", "expired"]]);
});

it("says since when and until when a relationship holds, and what is proposed and waits for whom", () => {
  const [on] = view.relationships;
  if (on === undefined) throw new Error("there is one");
  const held = { ...on.spec, validUntil: "2027-01-01T00:00:00Z" };
  const rowAt = (nowMs: number) => federationStatus({ ...view, relationships: [on], standing: () => ({ inForce: { terms: held, since: "2026-01-01T00:00:00Z" }, waitsFor: ["callee"] }) }, nowMs).relationships[0];
  expect(rowAt(1_000)).toMatchObject({ state: "active", since: "2026-01-01T00:00:00Z", validUntil: held.validUntil, proposed: { validUntil: "2099-01-01T00:00:00Z", waitsFor: ["pay.example"] } });
  expect(rowAt(Date.UTC(2027, 0, 1))).toEqual({ name: "on", caller: shop, callee: "pay.example", state: "waitingForApproval", validUntil: "2099-01-01T00:00:00Z" });
});
