import { describe, expect, it } from "vitest";
import type { RegionId, SpiffeId } from "#federation/model/names.ts";
import type { Cluster, ExportedService } from "#federation/model/resource.ts";
import type { ObjectPayload } from "#federation/model/replicated-object.ts";
import { openObject, decodeSignedObject } from "#federation/wire/signed-object.ts";
import { clusterResource, clusterState } from "../cluster-state-fixture.ts";
import { exportedService, storedExport, storedResource } from "../replicated/replicated-fixture.ts";
import { emptyReplicatedState } from "../replicated/replicated-view.ts";
import { admitsReceived } from "./received-rules.ts";

const { self } = clusterState();
const shopUs: Cluster = { ...clusterResource(), metadata: { name: "shop-us" }, spec: { ...clusterResource().spec, region: "us-east" as RegionId } };
const admits = admitsReceived(self, () => ({ ...emptyReplicatedState, clusters: new Map([["shop-us", shopUs]]) }));
const payloadOf = (exported: ExportedService, over: Partial<ObjectPayload> = {}): ObjectPayload => ({ ...openObject(decodeSignedObject(storedExport(exported).signed)).payload, ...over });

describe("admitsReceived", () => {
  it("takes the global plane's own kinds from it, and exports from nobody but their clusters", () => {
    const region = openObject(decodeSignedObject(storedResource(clusterResource()).signed)).payload;
    expect(admits(region)).toBe(true);
    expect(admits({ ...region, origin: "shop-us", originTrustDomain: "shop.example" })).toBe(false);
    expect(admits({ ...payloadOf(exportedService()), origin: "global" })).toBe(false);
    expect(admits({ ...payloadOf(exportedService()), kind: "RelationshipApproval" })).toBe(false);
  });

  it("takes an export that says what its cluster may say, and its tombstone", () => {
    expect(admits(payloadOf(exportedService()))).toBe(true);
    expect(admits(payloadOf(exportedService(), { tombstone: true, value: new Uint8Array() }))).toBe(true);
  });

  it("takes a cluster's JWT authorities from itself alone, and while it belongs to who vouches for it", () => {
    const authorities = { kind: "JwtAuthorities", key: "shop-us" };
    expect(admits(payloadOf(exportedService(), authorities))).toBe(true);
    expect(admits(payloadOf(exportedService(), { ...authorities, origin: "shop-ap", key: "shop-ap" })), "whose Cluster has not come yet").toBe(true);
    expect(admits(payloadOf(exportedService(), { ...authorities, key: "shop-ap" }))).toBe(false);
    expect(admits(payloadOf(exportedService(), { ...authorities, originTrustDomain: "pay.example" }))).toBe(false);
    expect(admits(payloadOf(exportedService(), { ...authorities, origin: self.cluster, key: self.cluster }))).toBe(false);
    expect(admits(payloadOf(exportedService(), { ...authorities, origin: "global", key: "global" }))).toBe(false);
  });

  it.each([
    ["in another cluster's name", payloadOf(exportedService(), { origin: "shop-ap" })],
    ["in our own name", payloadOf(exportedService({ cluster: self.cluster }))],
    ["of another trust domain", payloadOf(exportedService(), { originTrustDomain: "pay.example" })],
    ["under another key", payloadOf(exportedService(), { key: "web/catalog" })],
    ["from a namespace that is not its own", payloadOf(exportedService({ namespace: "core", serverIdentities: ["spiffe://shop.example/ns/core/sa/storefront" as SpiffeId] }))],
    ["from another region", payloadOf(exportedService({ region: "ap-south" as RegionId }))],
    ["with identities of another namespace", payloadOf(exportedService({ serverIdentities: ["spiffe://shop.example/ns/core/sa/payments" as SpiffeId] }))],
    ["that cannot be read", payloadOf(exportedService(), { value: Buffer.from("no json") })],
  ])("refuses an export %s, without throwing", (_what, payload) => {
    expect(admits(payload)).toBe(false);
  });
});
