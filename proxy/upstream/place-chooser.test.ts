import { describe, expect, test } from "vitest";
import type { ClusterId, RegionId } from "#federation/model/names.ts";
import { defaultPriority } from "#federation/model/priority-class.ts";
import type { Place, ServiceView } from "#federation/model/snapshot.ts";
import { createSeededRandom } from "#federation/runtime/random.ts";
import { VirtualClock } from "#federation/runtime/virtual-clock.ts";
import { catalogAt, chosenBy, localAt, remoteAt } from "../http/proxy-fixture.ts";
import { TimingWheel } from "../http/timing-wheel.ts";
import { throttled, Tries } from "./chooser.ts";
import type { Candidate, Outcome } from "./chooser.ts";
import { PoolSet } from "./pool-set.ts";
import { plainConnector } from "./connector.ts";
import { PlaceChooser } from "./place-chooser.ts";
import { PlaceHealth } from "./place-health.ts";

function setUp(places: readonly Place[], roundTripMs: Readonly<Record<string, number>> = {}) {
  const clock = new VirtualClock();
  const random = createSeededRandom(5);
  const viewpoint = {
    region: "eu" as RegionId,
    cluster: "here" as ClusterId,
    roundTripMs: new Map(Object.entries(roundTripMs).map(([name, ms]) => [name as ClusterId, ms])),
  };
  const health = new PlaceHealth(clock, viewpoint);
  // No request is written here: a pool that is asked to warm up meets a refused port.
  const pools = new PoolSet({ connector: plainConnector, clock, random, wheel: new TimingWheel(clock) });
  const view: ServiceView = catalogAt(places);
  const port = view.ports[0];
  if (port === undefined) throw new Error("the fixture has a port");
  const options = { port, pools, board: health, clock, random };
  const chooser = new PlaceChooser({ ...options, view });
  /** The chooser that replaces `before` when a snapshot names these places. */
  const replace = (before: PlaceChooser, next: readonly Place[]): PlaceChooser => {
    const successor = new PlaceChooser({ ...options, view: catalogAt(next) }, before);
    before.release();
    return successor;
  };
  return { clock, health, pools, view, chooser, replace };
}

/** No connection is made here, so whether one comes about is put there. */
function setReach(pools: PoolSet, port: number, reach: "reached" | "unreached"): void {
  Object.defineProperties(pools.pools().find(({ target }) => target.port === port) as object, {
    isUnreachable: { value: reach === "unreached", configurable: true },
    connections: { value: reach === "reached" ? 1 : 0, configurable: true },
  });
}

/** One try of a new request, which ends as `outcome`. */
function one(chooser: PlaceChooser, outcome: Outcome = "success"): Candidate | undefined {
  const candidate = chosenBy(chooser);
  if (candidate !== undefined) chooser.report(candidate, outcome);
  return candidate;
}

/** One request that ends as its cluster makes it end. */
function each(chooser: PlaceChooser, outcomes: Readonly<Record<string, Outcome>>): string {
  const candidate = chosenBy(chooser);
  if (candidate === undefined) return "none";
  chooser.report(candidate, outcomes[candidate.cluster] ?? "success");
  return candidate.cluster;
}

/** The ports that some of `count` requests went to. */
function ports(chooser: PlaceChooser, count: number): ReadonlySet<number> {
  return new Set(Array.from({ length: count }, () => one(chooser)?.pool.target.port ?? 0));
}

/** How many of `count` requests went to each cluster. */
function spread(chooser: PlaceChooser, count: number): Record<string, number> {
  const clusters: Record<string, number> = {};
  for (let at = 0; at < count; at++) {
    const cluster = one(chooser)?.cluster ?? "none";
    clusters[cluster] = (clusters[cluster] ?? 0) + 1;
  }
  return clusters;
}

/** Traffic comes home step by step, and is all there after a while. */
async function expectStepsHome(chooser: PlaceChooser, clock: VirtualClock): Promise<void> {
  const returning = spread(chooser, 1_000);
  expect(returning["here"]).toBeGreaterThan(20);
  expect(returning["near"]).toBeGreaterThan(500);
  await clock.advance(12_000);
  expect(spread(chooser, 100)).toEqual({ here: 100 });
}

describe("the place chooser", () => {
  test("stays at home while home is well, then goes to the nearest by round trip", () => {
    const { chooser } = setUp([remoteAt("far", 11), remoteAt("near", 12), localAt(10)], { far: 180, near: 80 });
    expect(spread(chooser, 100)).toEqual({ here: 100 });
    const tries = new Tries();
    const clusters = [0, 1, 2].map(() => chosenBy(chooser, tries)?.cluster);
    expect(clusters).toEqual(["here", "near", "far"]);
  });

  test("leaves a place that fails in a row, and gives it traffic again step by step", async () => {
    const { chooser, clock } = setUp([localAt(10), remoteAt("near", 12)], { near: 80 });
    for (let count = 0; count < 5; count++) one(chooser, "connectFailure");
    expect(spread(chooser, 50)).toEqual({ near: 50 });
    await clock.advance(34_000);
    expect(spread(chooser, 50)).toEqual({ near: 50 });
    // The hold-down of 5 s began when the end of the ejection was seen, just now.
    await clock.advance(5_300);
    await expectStepsHome(chooser, clock);
  });

  test("gives a place traffic again step by step that could not be reached for longer than a process may stand still, and at once after less", async () => {
    const { chooser, clock, pools } = setUp([localAt(10), remoteAt("near", 12)], { near: 80 });
    const reach = async (isUnreachable: boolean): Promise<void> => {
      setReach(pools, 10, isUnreachable ? "unreached" : "reached");
      await clock.advance(300);
    };
    await reach(true);
    expect(spread(chooser, 100)).toEqual({ near: 100 });
    await clock.advance(1_000);
    await reach(false);
    expect(spread(chooser, 100)).toEqual({ here: 100 });
    await reach(true);
    expect(spread(chooser, 100)).toEqual({ near: 100 });
    await clock.advance(4_000);
    await reach(false);
    await expectStepsHome(chooser, clock);
  });

  test("gives a place traffic again step by step also where snapshots have named its addresses anew, or others, while it was away", async () => {
    for (const portAfter of [10, 14]) {
      const { chooser, clock, pools, replace } = setUp([localAt(10), remoteAt("near", 12)], { near: 80 });
      setReach(pools, 10, "unreached");
      await clock.advance(300);
      expect(spread(chooser, 100)).toEqual({ near: 100 });
      await clock.advance(20_000);
      const during = replace(chooser, [localAt(portAfter, 11), remoteAt("near", 12)]);
      // An address that nobody has tried gets the first step, and no more while nothing answers there.
      for (let wait = 0; wait < 20; wait++) {
        const tried = spread(during, 100);
        expect(tried["here"]).toBeLessThan(30);
        await clock.advance(1_000);
      }
      setReach(pools, portAfter, "reached");
      const after = replace(during, [localAt(portAfter), remoteAt("near", 12)]);
      await expectStepsHome(after, clock);
    }
  });

  test("keeps what it knows of an address when a snapshot names it anew, until its sidecar says anew that it is ready", async () => {
    const { chooser, clock, replace } = setUp([localAt(10, 11, 12)]);
    const eject = (port: number): void => {
      for (let count = 0; count < 100; count++) {
        const candidate = chosenBy(chooser);
        if (candidate !== undefined) chooser.report(candidate, candidate.pool.target.port === port ? "connectFailure" : "success");
      }
    };
    eject(11);
    expect(ports(chooser, 100)).toEqual(new Set([10, 12]));
    const grown = replace(chooser, [localAt(13, 12, 11, 10)]);
    await clock.advance(1_000);
    expect(ports(grown, 200)).toEqual(new Set([10, 12, 13]));
    const unheard = replace(grown, [localAt(13, 12, 11, 10)].map((place) => ({ ...place, endpoints: place.endpoints.map((endpoint) => ({ ...endpoint, readiness: endpoint.port === 11 ? "unknown" : "ready" })) })));
    expect(ports(unheard, 200)).toEqual(new Set([10, 12, 13]));
    const heard = replace(unheard, [localAt(13, 12, 11, 10)]);
    expect(ports(heard, 200)).toEqual(new Set([10, 11, 12, 13]));
  });

  test("goes on to throttle what refuses most, though the news of its overload is a new snapshot", async () => {
    const { chooser, replace } = setUp([localAt(10)]);
    for (let count = 0; count < 10; count++) one(chooser, "overloaded");
    const held = (by: PlaceChooser): number => Array.from({ length: 200 }, () => by.choose(new Tries(), defaultPriority)).filter((candidate) => candidate === throttled).length;
    expect(held(chooser)).toBeGreaterThan(100);
    expect(held(replace(chooser, [localAt(10)]))).toBeGreaterThan(100);
  });

  test("gives a place that returns no more than it says it has room for, while another has some", async () => {
    const { chooser, clock, pools } = setUp([localAt(10), remoteAt("near", 12)], { near: 80 });
    const say = (port: number, headroom: number): void => {
      const pool = pools.pools().find(({ target }) => target.port === port);
      // No request is written here, so what its far side says is put there.
      Object.assign(pool as object, { report: { queueDelayMs: 0, utilizationRatio: 1, headroom }, reports: (pool?.reports ?? 0) + 1, reportedAtMs: clock.monotonicMs() });
    };
    const half = async (): Promise<void> => {
      for (let count = 0; count < 5; count++) one(chooser, "connectFailure");
      await clock.advance(34_000);
      spread(chooser, 1);
      // The hold-down of 5 s begins when the end of the ejection is seen; then the ramp, of which all but the end is left.
      await clock.advance(9_000);
      spread(chooser, 1);
    };
    await half();
    say(10, 3);
    say(12, 1_000);
    expect(spread(chooser, 200)["here"]).toBe(3);
    say(10, 2);
    say(12, 0);
    // Where nobody has room it is as it would be.
    expect(spread(chooser, 200)["here"]).toBeGreaterThan(50);
    await clock.advance(20_000);
    say(10, 0);
    say(12, 1_000);
    expect(spread(chooser, 200)).toEqual({ here: 200 });
  });

  test("never leaves the only place for slowness, whatever it is", async () => {
    const { chooser, clock } = setUp([localAt(10)]);
    for (let moment = 0; moment < 40; moment++) {
      await clock.advance(500);
      expect(one(chooser, "timeout")?.cluster).toBe("here");
      one(chooser, "gatewayError");
    }
    expect(spread(chooser, 10)).toEqual({ here: 10 });
  });

  test("sends a tenth elsewhere to compare a slow place with, and leaves it when that answers", async () => {
    const { chooser, clock } = setUp([localAt(10), remoteAt("near", 12)], { near: 80 });
    const outcomes: Record<string, Outcome> = { here: "timeout", near: "success" };
    const chosen: string[] = [];
    // Ten requests a second, since half a second is one moment.
    for (let moment = 0; chosen.filter((cluster) => cluster === "near").length < 20; moment++) {
      await clock.advance(100);
      chosen.push(each(chooser, outcomes));
    }
    const until = chosen.lastIndexOf("here");
    const probes = chosen.slice(0, until).filter((cluster) => cluster === "near").length;
    expect(probes).toBeGreaterThanOrEqual(5);
    expect(probes).toBeLessThanOrEqual(10);
    expect(until).toBeLessThan(120);
    expect(spread(chooser, 20)).toEqual({ near: 20 });
  });

  test("stays where it is when all places are as slow, and sends no more than a tenth elsewhere to know it", async () => {
    const { chooser, clock, health, view } = setUp([localAt(10), remoteAt("near", 12)], { near: 80 });
    const chosen: Record<string, number> = {};
    for (let moment = 0; moment < 400; moment++) {
      await clock.advance(100);
      const cluster = each(chooser, { here: "timeout", near: "timeout" });
      chosen[cluster] = (chosen[cluster] ?? 0) + 1;
    }
    expect(chosen["near"]).toBeLessThan(40);
    expect(view.places.map((place) => health.conditionOf(view, place).lowered)).toEqual([false, false]);
  });

  test("ejects a slow endpoint beside sound ones without blaming their place, and none when all are slow", async () => {
    const { chooser, clock, health, view } = setUp([localAt(10, 11, 12), remoteAt("near", 13)], { near: 80 });
    const drive = (outcomeOf: (port: number) => Outcome): Record<number, number> => {
      const seen: Record<number, number> = {};
      for (let at = 0; at < 300; at++) {
        const candidate = chosenBy(chooser);
        if (candidate === undefined) continue;
        const { port } = candidate.pool.target;
        seen[port] = (seen[port] ?? 0) + 1;
        chooser.report(candidate, outcomeOf(port));
      }
      return seen;
    };
    drive((port) => (port === 11 ? "gatewayError" : "success"));
    expect(Object.keys(drive(() => "success"))).toEqual(["10", "12"]);
    expect(view.places.map((place) => health.conditionOf(view, place).lowered)).toEqual([false, false]);
    await clock.advance(31_000);
    drive(() => "success");
    drive(() => "gatewayError");
    expect(Object.keys(drive(() => "success"))).toEqual(["10", "11", "12"]);
  });

  test("takes a refusal for no evidence at all", async () => {
    const { chooser, clock, health, view } = setUp([localAt(10), remoteAt("near", 12)], { near: 80 });
    for (let count = 0; count < 50; count++) {
      await clock.advance(100);
      one(chooser, "refused");
    }
    expect(spread(chooser, 20)).toEqual({ here: 20 });
    expect(chooser.inFlight).toBe(0);
    expect(view.places.map((place) => health.conditionOf(view, place).verdict)).not.toContain("suspect");
  });

  test("passes over a gateway that leaves at once, and gives up its idle connections", () => {
    const { chooser, pools, health } = setUp([remoteAt("near", 1, 2)], { near: 80 });
    expect(ports(chooser, 20)).toEqual(new Set([1, 2]));
    pools.drainAddress("127.0.0.1", 1);
    health.addressesChanged();
    expect(ports(chooser, 20)).toEqual(new Set([2]));
    pools.restoreAddress("127.0.0.1", 1);
    health.addressesChanged();
    expect(ports(chooser, 20)).toEqual(new Set([1, 2]));
  });

  test("leaves a place whose gateways all leave, and uses it to its end where there is no other", () => {
    const two = setUp([remoteAt("near", 1), remoteAt("far", 2)], { near: 10, far: 80 });
    expect(spread(two.chooser, 20)).toEqual({ near: 20 });
    two.pools.drainAddress("127.0.0.1", 1);
    two.health.setLeaving("near" as ClusterId, true);
    expect(spread(two.chooser, 20)).toEqual({ far: 20 });
    const only = setUp([remoteAt("near", 1)]);
    only.pools.drainAddress("127.0.0.1", 1);
    only.health.setLeaving("near" as ClusterId, true);
    expect(spread(only.chooser, 20)).toEqual({ near: 20 });
  });

  test("ejects one bad endpoint without blaming its place", async () => {
    const { chooser, clock } = setUp([localAt(10, 11, 12), remoteAt("near", 13)], { near: 80 });
    const seen = new Set<number>();
    for (let count = 0; count < 60; count++) {
      const candidate = chosenBy(chooser);
      if (candidate === undefined) continue;
      chooser.report(candidate, candidate.pool.target.port === 11 ? "gatewayError" : "success");
    }
    for (let count = 0; count < 60; count++) {
      const candidate = one(chooser);
      if (candidate !== undefined) seen.add(candidate.pool.target.port);
    }
    expect(seen).toEqual(new Set([10, 12]));
    await clock.advance(31_000);
    for (let count = 0; count < 60; count++) seen.add(one(chooser)?.pool.target.port ?? 0);
    expect(seen).toEqual(new Set([10, 11, 12]));
  });

  test("gives gateways with fewer requests under way more of them", () => {
    const { chooser } = setUp([remoteAt("near", 1, 2)]);
    const ports = Array.from({ length: 40 }, () => chosenBy(chooser)?.pool.target.port);
    expect(chooser.inFlight).toBe(40);
    expect(Math.abs(ports.filter((port) => port === 1).length - 20)).toBeLessThanOrEqual(2);
  });

  test("passes over a place that has no address", () => {
    const { chooser } = setUp([localAt(), remoteAt("gateless"), remoteAt("near", 1)], { gateless: 1, near: 80 });
    expect(spread(chooser, 20)).toEqual({ near: 20 });
  });

  test("has nothing for a service without places", () => {
    const { chooser } = setUp([]);
    expect(one(chooser)).toBeUndefined();
    expect(chooser.inFlight).toBe(0);
  });

  test("follows pings: a place whose gateways stay silent is left before a request fails there", async () => {
    const { chooser, clock, health } = setUp([remoteAt("near", 1), remoteAt("far", 2)], { near: 10, far: 80 });
    expect(spread(chooser, 20)).toEqual({ near: 20 });
    expect(health.pingUnanswered("near" as ClusterId)).toBe(true);
    await clock.advance(300);
    expect(spread(chooser, 20)).toEqual({ far: 20 });
  });

  test("follows new round trips", async () => {
    const { chooser, clock, health } = setUp([remoteAt("a", 1), remoteAt("b", 2)], { a: 10, b: 80 });
    expect(spread(chooser, 20)).toEqual({ a: 20 });
    health.setViewpoint({ ...health.viewpoint, roundTripMs: new Map([["a" as ClusterId, 90], ["b" as ClusterId, 80]]) });
    await clock.advance(300);
    expect(spread(chooser, 20)).toEqual({ b: 20 });
  });

  test("goes to a place that was not tried, also when round trips have made another order meanwhile", async () => {
    const { chooser, clock, health } = setUp([remoteAt("a", 1), remoteAt("b", 2)], { a: 10, b: 80 });
    const tries = new Tries();
    expect(chosenBy(chooser, tries)?.cluster).toBe("a");
    health.setViewpoint({ ...health.viewpoint, roundTripMs: new Map([["a" as ClusterId, 20], ["b" as ClusterId, 90]]) });
    await clock.advance(300);
    expect(chosenBy(chooser, tries)?.cluster).toBe("b");
  });

  test("uses endpoints that are not ready only when there are no others", () => {
    const place = localAt(10, 11);
    const { chooser } = setUp([{ ...place, endpoints: place.endpoints.map((endpoint, index) => ({ ...endpoint, readiness: index === 0 ? "notReady" : "unknown" })) }]);
    const ports = new Set(Array.from({ length: 30 }, () => one(chooser)?.pool.target.port));
    expect(ports).toEqual(new Set([11]));
  });
});
