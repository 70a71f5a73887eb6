import { describe, expect, it } from "vitest";
import type { ClusterStatus, FederationStatus } from "#federation/admin-api/status.ts";
import { awayProblems, distrustProblems, doubleProblems, refusalProblems, storeProblems, unfollowedProblems, unwritableProblems, withdrawalProblems } from "./store-findings.ts";

const behind = { state: "behind", reason: "mark", witness: "this plane", witnessed: { epoch: 1, revision: 9 }, found: { epoch: 1, revision: 40 }, sinceMs: 1 } as const;
const row = (id: string, more: object = {}) => ({ id, ...more });
const federation = (clusters: readonly object[], store: object = { state: "sound", epoch: 1 }): FederationStatus => ({ clusters, store }) as unknown as FederationStatus;
const cluster = (globalPlane: object, store: object = { state: "sound", epoch: 1 }): ClusterStatus => ({ globalPlane, store }) as unknown as ClusterStatus;

describe("what check says of stores", () => {
  it("names one that is behind, why, and what to do; nothing of a sound one, nor of a plane that does not say", () => {
    expect(storeProblems("global", { store: behind })).toEqual([
      "the store of global is not the one that was witnessed, or its history was written anew (this plane saw epoch 1, revision 9; it is at epoch 1, revision 40); the global plane writes and publishes nothing until you decide: `atoll reconcile global`",
    ]);
    expect(storeProblems("shop-eu", { store: { state: "sound", epoch: 3 } })).toEqual([]);
    expect(storeProblems("shop-eu", {})).toEqual([]);
  });

  it("names one that is away, and for how long", () => {
    expect(awayProblems("shop-eu", { asOfMs: 95_000, storeAwaySinceMs: 5_000 })).toEqual(["the store of shop-eu has not answered for 90 s; the plane of shop-eu answers from what it knew then and takes no writes until the store is back"]);
    expect(awayProblems("global", { asOfMs: 95_000 })).toEqual([]);
  });

  it("names what a plane cannot write, for how long, why, what that comes to, and what to do", () => {
    const failed = (what: string, reason: string, sinceMs: number) => ({ what, reason, sinceMs });
    const rest = "and writes again by itself once it can; give its disk room, or make it writable";
    expect(unwritableProblems("shop-eu", { asOfMs: 95_000, unwritable: [failed("its store", "it is full", 5_000), failed("its audit trail", "ENOSPC", 9_000), failed("ready.json", "ENOSPC", 9_000)] })).toEqual([
      `the plane of shop-eu has not been able to write its store, its audit trail, ready.json for 90 s (it is full; ENOSPC): it answers by what it knows, and takes no changes and nothing new of other planes, ${rest}`,
    ]);
    expect(unwritableProblems("global", { asOfMs: 95_000, unwritable: [failed("ready.json", "EROFS", 94_000)] })).toEqual([`the global plane has not been able to write ready.json for 1 s (EROFS): it goes on, ${rest}`]);
    expect([unwritableProblems("global", { asOfMs: 1 }), unwritableProblems("global", { asOfMs: 1, unwritable: [] })]).toEqual([[], []]);
  });

  it("names what a plane cannot read of a store that answers, for how long, why, and what to do", () => {
    const unfollowed = ["objects", "endpoints", "resources/TrafficPolicy", "proxies"].map((collection, index) => ({ collection, ageMs: 90_000 - index * 1_000, reason: "no answer within 1250 ms" }));
    const rest = "though the store answers (no answer within 1250 ms); what it shows, and tells proxies and other planes by it, may be as old as that: see what the store's host and log say of it, and start the store and then the plane again where that does not end it";
    expect(unfollowedProblems("shop-eu", { unfollowed })).toEqual([`the plane of shop-eu has not been able to read objects, endpoints, resources/TrafficPolicy and 1 more in its store for 90 s, ${rest}`]);
    expect(unfollowedProblems("global", { unfollowed: unfollowed.slice(1, 2) })).toEqual([`the global plane has not been able to read endpoints in its store for 89 s, ${rest}`]);
    expect([unfollowedProblems("global", {}), unfollowedProblems("shop-eu", { unfollowed: [] })]).toEqual([[], []]);
  });

  it("names who does not believe whom, once, from either side, and not what the other says itself", () => {
    const refused = "shop-us applies nothing of global any more: the store of global was seen behind what it had told; decide with `atoll reconcile global`";
    expect(distrustProblems(federation([row("shop-us", { refusesUs: true })]), [["shop-us", cluster({ behindSinceMs: 5 })]])).toEqual([refused]);
    expect(distrustProblems(undefined, [["shop-us", cluster({ behindSinceMs: 5 })]])).toEqual([refused]);
    expect(distrustProblems(federation([row("shop-us", { refusesUs: true })], behind), [])).toEqual([]);
    expect(distrustProblems(federation([row("shop-us", { behindSinceMs: 5 })]), [["shop-us", cluster({ refusesUs: true })]])).toHaveLength(1);
    expect(distrustProblems(federation([row("shop-us")]), [["shop-us", cluster({})]])).toEqual([]);
  });

  it("names a plane of which there are two, once, by its own word where it has one", () => {
    const rival = { id: "b-2", witness: "global", sinceMs: 1 };
    const doubled = { incarnations: ["a-1", "b-2"], sinceMs: 1 };
    const advice = (plane: string): string => `neither is believed or written to until one is silent for a minute: stop the copy, or name the one that answers here with \`atoll reconcile ${plane} --keep\``;
    const known = { ...cluster({}), incarnation: { id: "a-1", rival } };
    expect(doubleProblems(federation([row("shop-us", { doubled })]), [["shop-us", known]])).toEqual([`two processes speak as shop-us: a-1, which answers here, and b-2, which global hears as well; ${advice("shop-us")}`]);
    expect(doubleProblems(federation([row("shop-us", { doubled })]), [["shop-eu", cluster({ doubled })]])).toEqual([
      `global hears two processes as shop-us: a-1 and b-2; ${advice("shop-us")}`,
      `shop-eu hears two processes as global: a-1 and b-2; ${advice("global")}`,
    ]);
    expect(doubleProblems(federation([row("shop-us")]), [["shop-us", { ...cluster({}), incarnation: { id: "a-1" } }]])).toEqual([]);
  });

  it("names who goes on with what another has withdrawn, and what to do", () => {
    expect(withdrawalProblems(federation([row("shop-us", { withdrawalsHeld: 3 }), row("shop-eu")]), [["shop-eu", cluster({ withdrawalsHeld: 1 })]])).toEqual([
      "global goes on with 3 objects that shop-us offers no longer: shop-us has not signed that they are deleted, and so much at once is the sign of a lost store; have shop-us take them back with `atoll reconcile shop-us --take-newer`, or let them go with `atoll withdrawals global --of shop-us --let-go`",
      "shop-eu goes on with 1 object that global offers no longer: global has not signed that they are deleted, and so much at once is the sign of a lost store; make them again at global, or let them go with `atoll withdrawals shop-eu --of global --let-go`",
    ]);
    expect(withdrawalProblems(undefined, [])).toEqual([]);
  });

  it("names what is sent and not taken, by whom and why, a few of many", () => {
    const refused = ["a", "b", "c", "d"].map((name) => ({ id: `shop-eu/ServiceExport/web/${name}`, reason: "origin" }));
    expect(refusalProblems(federation([row("shop-us", { refused: [{ id: "global/Region/x", reason: "signature" }] }), row("shop-eu")]), [["shop-eu", cluster({ refused })], ["shop-us", cluster({})]])).toEqual([
      "shop-us is sent 1 object of global that it does not take: global/Region/x (its signature is not valid there); nobody behind shop-us knows of them",
      "global is sent 4 objects of shop-eu that it does not take: shop-eu/ServiceExport/web/a (its origin may not say that, or says too much), shop-eu/ServiceExport/web/b (its origin may not say that, or says too much), shop-eu/ServiceExport/web/c (its origin may not say that, or says too much) and 1 more; nobody behind global knows of them",
    ]);
    expect(refusalProblems(undefined, [])).toEqual([]);
  });
});
