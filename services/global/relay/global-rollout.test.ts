import { describe, expect, it } from "vitest";
import type { RegionId, TrustDomainName } from "#federation/model/names.ts";
import { objectId, type OpenedObject } from "#federation/model/replicated-object.ts";
import { apiVersion, type Cluster } from "#federation/model/resource.ts";
import type { ObjectStanding } from "#federation/replication/core/publisher.ts";
import { TestOrigins } from "#federation/wire/test-origin.ts";
import { globalRollout, type GlobalRolloutView } from "./global-rollout.ts";

const cluster = (name: string): Cluster => ({ apiVersion, kind: "Cluster", metadata: { name }, spec: { region: "eu-west" as RegionId, trustDomain: "shop.example" as TrustDomainName, exportNamespaces: [], gateways: [] } });
const standing = (revision: number | undefined, over: Partial<ObjectStanding> = {}) => (): ObjectStanding => ({
  generation: revision === undefined ? undefined : { epoch: 1, revision },
  isAcknowledged: true,
  isWithdrawn: false,
  ...over,
});
const published = (revision: number): OpenedObject => new TestOrigins().object("global", "r", revision, { kind: "Relationship" });
const at = (revision: number) => ({ kind: "Relationship", id: "r", generation: { epoch: 1, revision } }) as const;
const view = (object: OpenedObject | undefined, over: Partial<GlobalRolloutView>): GlobalRolloutView => ({
  clusters: new Map(["a", "b"].map((name) => [name, cluster(name)])),
  objects: object === undefined ? new Map() : new Map([[objectId(object.payload), object]]),
  offers: ({ metadata }) => metadata.name === "a",
  standings: new Map(),
  links: new Map(["a", "b"].map((name) => [name, { heardAgeMs: 3, sentSeq: 1, acknowledgedSeq: 1, lagMs: 0, refusesUs: false, behindSinceMs: undefined, withdrawalsHeld: 0, refused: [] }])),
  ...over,
});

describe("the rollout of a write at the global plane", () => {
  it("concerns the clusters that are offered the resource", () => {
    const { targets, done } = globalRollout(view(published(5), { standings: new Map([["a", standing(5)], ["b", standing(undefined)]]) }), at(5));
    expect(targets).toEqual([{ kind: "cluster", name: "a", state: "done", heardAgeMs: 3 }]);
    expect(done).toBe(true);
  });

  it("concerns every cluster, and has reached none, until the write is published", () => {
    for (const object of [undefined, published(4)]) {
      const rollout = globalRollout(view(object, { standings: new Map([["a", standing(4)], ["b", standing(undefined)]]) }), at(5));
      expect(rollout).toMatchObject({ done: false, counts: { done: 0, pending: 2 } });
    }
  });

  it("waits for a cluster from which the write took the resource away, until it has let it go", () => {
    const withB = (b: () => ObjectStanding) => globalRollout(view(published(5), { standings: new Map([["a", standing(5)], ["b", b]]) }), at(5));
    expect(withB(standing(4)).targets).toMatchObject([{ name: "b", state: "pending" }, { name: "a", state: "done" }]);
    expect(withB(standing(undefined, { isWithdrawn: true, isAcknowledged: false })).targets).toMatchObject([{ name: "b", state: "pending" }, { name: "a", state: "done" }]);
    expect(withB(standing(undefined, { isWithdrawn: true })).targets).toMatchObject([{ name: "a", state: "done" }]);
  });

  it("is done for a deletion that is signed when each cluster that is offered it has acknowledged that", () => {
    const gone = { kind: "Relationship", id: "r", generation: undefined } as const;
    const tombstone = new TestOrigins().object("global", "r", 6, { kind: "Relationship", tombstone: true });
    const withA = (a: () => ObjectStanding) => globalRollout(view(tombstone, { standings: new Map([["a", a], ["b", standing(undefined)]]) }), gone);
    expect(withA(standing(5))).toMatchObject({ done: false, targets: [{ name: "b", state: "done" }, { name: "a", state: "pending" }].toReversed() });
    expect(withA(standing(6, { isAcknowledged: false })).done).toBe(false);
    expect(withA(standing(6)).done).toBe(true);
  });

  it("is done for a deletion when no cluster holds the resource any more", () => {
    const gone = { kind: "Relationship", id: "r", generation: undefined } as const;
    const b = standing(undefined);
    expect(globalRollout(view(undefined, { standings: new Map([["a", standing(5)], ["b", b]]) }), gone)).toMatchObject({ done: false, counts: { pending: 1, done: 1 } });
    expect(globalRollout(view(undefined, { standings: new Map([["a", standing(undefined, { isWithdrawn: true, isAcknowledged: false })], ["b", b]]) }), gone).done).toBe(false);
    expect(globalRollout(view(undefined, { standings: new Map([["a", standing(undefined, { isWithdrawn: true })], ["b", b]]) }), gone).done).toBe(true);
  });
});
