import { expect, test } from "vitest";
import type { ClusterId, RegionId } from "#federation/model/names.ts";
import type { PlaceCondition } from "#federation/model/verdict.ts";
import { explainChoice, renderExplanation } from "./explain.ts";
import type { RoutingQuestion } from "./explain.ts";
import { downCondition, healthyCondition, localPlace, remotePlace, serviceAt, viewpointOf } from "./places-fixture.ts";
import { renderSimulation, simulateLoss } from "./simulate.ts";

function question(conditions: Readonly<Record<string, PlaceCondition>> = {}, euReady = 4): RoutingQuestion {
  return {
    service: serviceAt([remotePlace("shop-ap", "ap-south", 4), remotePlace("shop-us", "us-east", 4), localPlace("shop-eu", "eu-west", euReady, 4)]),
    viewpoint: viewpointOf("shop-eu", "eu-west", { "shop-us": 80.04, "shop-ap": 180 }),
    conditionOf: (cluster) => conditions[cluster] ?? healthyCondition,
    nowMs: 3_500,
  };
}

const without = (regions: readonly string[], clusters: readonly string[] = []) => ({ regions: regions as RegionId[], clusters: clusters as ClusterId[] });

test("says where traffic goes and why, place by place", () => {
  expect(renderExplanation(explainChoice(question({}, 2)))).toBe(
    [
      "catalog.web.svc.shop.example from shop-eu (eu-west), locality nearest",
      "LEVEL  CLUSTER  REGION    VERDICT  READY       RTT       CHANGED  SHARE   WHY",
      "0      shop-eu  eu-west   healthy  50 % of 4   0.0 ms    -        70.0 %  own cluster; it cannot carry all traffic",
      "1      shop-us  us-east   healthy  100 % of 4  80.0 ms   2.5 s    30.0 %  takes what nearer places cannot carry",
      "2      shop-ap  ap-south  healthy  100 % of 4  180.0 ms  2.5 s    0.0 %   nearer places carry all traffic",
      "=> goes to shop-eu: own cluster; it cannot carry all traffic",
    ].join("\n"),
  );
});

test("names the evidence that lowered a place", () => {
  const explanation = explainChoice(question({ "shop-eu": downCondition }));
  expect(explanation.chosen).toBe("shop-us");
  expect(explanation.because).toBe("nearest that can serve; it answers requests");
  expect(explanation.places[0]?.because).toBe("last resort: requests to it failed in a row");
});

test("says which gateways a place has, by which names, and that it is passed over while none has an address", () => {
  const named = { ...remotePlace("shop-us", "us-east", 4), gateways: [{ address: "10.0.0.1", port: 443, name: "gw.example" }] };
  const unknown = { ...remotePlace("shop-ap", "ap-south", 4), gateways: [] };
  const { places } = explainChoice({ ...question(), service: serviceAt([localPlace("shop-eu", "eu-west", 4, 4), named, unknown]) });
  expect(places.map(({ gateways }) => gateways)).toEqual([undefined, named.gateways, []]);
  expect(places[2]?.because).toMatch(/^passed over: no address of a gateway is known; /);
});

test("says that a place is slow, and where it is compared", () => {
  const slow: PlaceCondition = { ...healthyCondition, verdict: "suspect", probeRatio: 0.1, reason: "90 % of its latest requests ended in timeouts or gateway errors; a few requests go elsewhere to see whether they fare better there" };
  const { chosen, places } = explainChoice(question({ "shop-eu": slow }));
  expect(chosen).toBe("shop-eu");
  expect(places.map(({ share, because }) => [share, because])).toEqual([
    [0.9, `own cluster; ${slow.reason}`],
    [0.1, "a few requests come here to compare a slow place with"],
    [0, "nearer places carry all traffic"],
  ]);
});

test("says that a place is overloaded, and what its sidecars said last, which changes nothing of where requests go", () => {
  const load = { report: { queueDelayMs: 12, utilizationRatio: 1, headroom: 0 }, overload: { admits: 20, asked: 60 } };
  const { chosen, because, places } = explainChoice({ ...question(), loadOf: (cluster) => (cluster === "shop-eu" ? load : undefined) });
  expect([chosen, because]).toEqual(["shop-eu", "overloaded: admits 20 of 60 requests a second; own cluster; it answers requests"]);
  expect(places.map((place) => place.load)).toEqual([load, undefined, undefined]);
});

test("a service without places goes nowhere", () => {
  const explanation = explainChoice({ ...question(), service: serviceAt([]) });
  expect(explanation.chosen).toBeUndefined();
  expect(renderExplanation(explanation)).toContain("=> goes nowhere: no cluster offers this service to us");
});

test("simulating a region's loss moves its load to the next nearest", () => {
  const simulation = simulateLoss({ ...question(), viewpoint: viewpointOf("shop-us", "us-east", { "shop-eu": 80, "shop-ap": 280 }) }, without(["us-east"], []));
  expect(simulation).toMatchObject({ callerLost: true, served: false });
  const seenFromEu = simulateLoss(question({ "shop-eu": downCondition }), without(["us-east"]));
  expect(seenFromEu.changes.map(({ cluster, lost, shareBefore, shareAfter }) => [cluster, lost, shareBefore, shareAfter])).toEqual([
    ["shop-eu", false, 0, 0],
    ["shop-us", true, 1, 0],
    ["shop-ap", false, 0, 1],
  ]);
  expect(seenFromEu.changes.map((change) => change.loadFactor)).toEqual([1, 0, Number.POSITIVE_INFINITY]);
  expect(renderSimulation(seenFromEu)).toContain("x shop-us (us-east)  100.0 % -> 0.0 %");
  expect(renderSimulation(seenFromEu)).toContain("=> served by shop-ap: nearest that can serve; it answers requests");
});

test("what is left lowered serves nobody that could be counted on", () => {
  const simulation = simulateLoss(question({ "shop-eu": downCondition }), without([], ["shop-us", "shop-ap"]));
  expect(simulation.served).toBe(false);
  expect(simulation.after.chosen).toBe("shop-eu");
});

test("simulating no loss changes nothing", () => {
  const simulation = simulateLoss(question(), without([]));
  expect(simulation.after).toEqual(simulation.before);
  expect(simulation.changes.every((change) => change.loadFactor === 1 && !change.lost)).toBe(true);
});
