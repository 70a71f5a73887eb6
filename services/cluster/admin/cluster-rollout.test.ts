import { describe, expect, it } from "vitest";
import type { SpiffeId } from "#federation/model/names.ts";
import { objectId, type OpenedObject } from "#federation/model/replicated-object.ts";
import type { RolloutSubject } from "#federation/model/rollout.ts";
import { TestOrigins } from "#federation/wire/test-origin.ts";
import { clusterState } from "../cluster-state-fixture.ts";
import type { HeldBy } from "../discovery/discovery-service.ts";
import { clusterRollout, type ClusterRolloutView } from "./cluster-rollout.ts";

const origins = new TestOrigins();
const subject = (over: Partial<RolloutSubject> = {}): RolloutSubject => ({ kind: "ServiceExport", id: "web/storefront", generation: { epoch: 1, revision: 4 }, ...over });
const exported = (revision: number, tombstone = false): ReadonlyMap<string, OpenedObject> => {
  const object = origins.object("shop-eu", "web/storefront", revision, { kind: "ServiceExport", tombstone });
  return new Map([[objectId(object.payload), object]]);
};
const held = (over: Partial<HeldBy>): HeldBy => ({ isHeld: true, proxies: [], lost: [], unsettledMs: 0, ...over });
const view = (over: Partial<ClusterRolloutView> = {}): ClusterRolloutView => ({
  cluster: "shop-eu",
  heldBy: () => held({}),
  exported: clusterState({ generations: new Map([["ServiceExport/web/storefront", { epoch: 1, revision: 4 }], ["Service/web/storefront", { epoch: 1, revision: 3 }]]) }),
  published: exported(30),
  global: { heardAgeMs: 5, behindMs: 0, standing: () => ({ generation: { epoch: 1, revision: 30 }, isWithdrawn: false, isAcknowledged: true }) },
  ...over,
});
const states = (of: ClusterRolloutView, about = subject()): readonly string[] => clusterRollout(of, about).targets.map(({ kind, name, state }) => `${kind} ${name} ${state}`);

describe("the rollout of a write in a cluster", () => {
  it("says of a proxy that has not got it for how long it owes an answer, and of no other", () => {
    const proxies = [
      { name: "a", standing: { kind: "pending" }, unansweredMs: 12_000.5 },
      { name: "b", standing: { kind: "pending" } },
      { name: "c", standing: { kind: "acknowledged" }, unansweredMs: 3 },
    ] as const;
    const rollout = clusterRollout(view({ heldBy: () => held({ proxies }) }), subject({ kind: "TrafficPolicy" }));
    expect(rollout.targets.filter(({ kind }) => kind === "proxy")).toEqual([
      { kind: "proxy", name: "a", state: "pending", behindMs: 12_000 },
      { kind: "proxy", name: "b", state: "pending" },
      { kind: "proxy", name: "c", state: "done" },
    ]);
  });

  it("says of a policy that some proxies are told of first by whom it is tried, or who did not bear it", () => {
    const of = (heldBack: HeldBy["heldBack"] & object) => clusterRollout(view({ heldBy: () => held({ isHeld: false, heldBack }) }), subject({ kind: "TrafficPolicy" })).targets;
    expect(of({ state: "tried", proxies: ["a"] })).toMatchObject([{ kind: "plane", state: "pending", reason: "it is tried by a first" }]);
    expect(of({ state: "waiting", proxies: [] })).toMatchObject([{ kind: "plane", state: "pending", reason: "it waits until a proxy can try it first" }]);
    expect(of({ state: "stopped", proxies: ["a"], cause: "refused", reason: "no such field" })).toMatchObject([{ kind: "plane", state: "refused", reason: "proxy a was told of it first: no such field; the others keep the one before" }]);
    expect(of({ state: "stopped", proxies: ["a"], cause: "silent", reason: "it has not answered for 20 s", triedAgain: true })).toMatchObject([{ kind: "plane", state: "pending", reason: "proxy a was told of it first: it has not answered for 20 s; it is tried again, and the others keep the one before" }]);
  });

  it("is that of its plane and of each connected proxy, with what a proxy says against it", () => {
    const proxies = [
      { name: "a", standing: { kind: "acknowledged" } },
      { name: "b", standing: { kind: "refused", message: "no such thing" } },
      { name: "c", standing: { kind: "pending" } },
    ] as const;
    const rollout = clusterRollout(view({ heldBy: () => held({ proxies }) }), subject({ kind: "TrafficPolicy" }));
    expect(rollout).toMatchObject({ done: false, counts: { done: 2, pending: 1, refused: 1 } });
    expect(rollout.targets).toContainEqual({ kind: "proxy", name: "b", state: "refused", reason: "no such thing" });
    expect(states(view({ heldBy: () => held({ isHeld: false }) }), subject({ kind: "TrafficPolicy" }))).toEqual(["plane shop-eu pending"]);
  });

  it("counts a proxy that was lost a moment ago as unreachable, and waits for those that may come back to a new plane", () => {
    const lost = clusterRollout(view({ heldBy: () => held({ lost: [{ name: "gone", identity: "spiffe://shop.example/ns/web/sa/gone" as SpiffeId, kind: "workload", takenVersion: 1, ageMs: 4_000.5 }] }) }), subject({ kind: "TrafficPolicy" }));
    expect(lost.targets).toEqual([{ kind: "plane", name: "shop-eu", state: "done" }, { kind: "proxy", name: "gone", state: "unreachable", heardAgeMs: 4_000 }]);
    const fresh = clusterRollout(view({ heldBy: () => held({ unsettledMs: 12_300 }) }), subject({ kind: "TrafficPolicy" }));
    expect(fresh).toMatchObject({ done: false, targets: [{ kind: "plane", state: "pending", reason: expect.stringContaining("within 13 s") as string }] });
  });

  it("of an export waits for the global plane to have what the export says now", () => {
    expect(states(view())).toEqual(["global global done", "plane shop-eu done"]);
    expect(states(view({ published: exported(31) }))).toEqual(["global global pending", "plane shop-eu done"]);
    expect(states(view({ exported: undefined }))).toEqual(["global global pending", "plane shop-eu done"]);
    expect(states(view(), subject({ generation: { epoch: 1, revision: 5 } }))).toEqual(["global global pending", "plane shop-eu done"]);
    expect(states(view({ global: { heardAgeMs: 60_000, behindMs: 0, standing: undefined } }))).toEqual(["global global unreachable", "plane shop-eu done"]);
  });

  it("of an export that offers nothing says why, instead of being done", () => {
    for (const published of [exported(31, true), new Map<string, OpenedObject>()]) {
      const rollout = clusterRollout(view({ published }), subject());
      expect(rollout.done).toBe(false);
      expect(rollout.targets[0]?.reason).toContain("exportNamespaces");
    }
  });

  it("of a deleted export waits for the global plane to have its tombstone", () => {
    const gone = { ...view({ exported: clusterState() }), published: exported(31, true) };
    expect(states(gone, subject({ generation: undefined }))).toEqual(["global global pending", "plane shop-eu done"]);
    const heard = { ...gone, global: { ...gone.global, standing: () => ({ generation: { epoch: 1, revision: 31 }, isWithdrawn: false, isAcknowledged: true }) } };
    expect(states(heard, subject({ generation: undefined }))).toEqual(["global global done", "plane shop-eu done"]);
  });

  it("of a service concerns the global plane where the service is exported", () => {
    const service = subject({ kind: "Service", generation: { epoch: 1, revision: 3 } });
    expect(states(view(), service)).toEqual(["global global done", "plane shop-eu done"]);
    expect(states(view({ published: new Map() }), service)).toEqual(["plane shop-eu done"]);
  });
});
