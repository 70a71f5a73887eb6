import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { clusterRoutes, globalRoutes } from "#federation/admin-api/plane-routes.ts";
import type { ServicePlace, ServiceRow } from "#federation/admin-api/status.ts";
import { eventually, pause } from "../harness/eventually.ts";
import { twoRegions } from "../harness/plans.ts";
import { TestFederation } from "../harness/test-federation.ts";

const { signal } = new AbortController();
const frozen = "shop-us-catalog-proxy";

/** Undefined only where it could not be brought up; then no test runs. */
let federation: TestFederation;

beforeAll(async () => {
  federation = await TestFederation.start({ ...twoRegions, users: [] });
}, 180_000);

afterAll(async () => {
  await (federation as TestFederation | undefined)?.[Symbol.asyncDispose]();
}, 60_000);

/** What a plane says of the catalog of shop-us. */
async function catalogIn(plane: "global" | "shop-us" | "shop-eu"): Promise<ServicePlace> {
  const { planes } = federation;
  const { services } = plane === "global" ? (await planes.global().call(globalRoutes.status, {}, signal)).body : (await planes.cluster(plane).call(clusterRoutes.status, {}, signal)).body;
  const place = services.find(({ name }: ServiceRow) => name === "catalog")?.places.find(({ cluster }) => cluster === "shop-us");
  if (place === undefined) throw new Error(`${plane} knows no catalog in shop-us`);
  return place;
}

const planes = ["global", "shop-us", "shop-eu"] as const;

describe("what is known of a cluster in which nothing happens", () => {
  it("stays as fresh as its heartbeats, while it says how long nothing has changed", async () => {
    await eventually("all is known everywhere", async () => (await Promise.all(planes.map(catalogIn))).every(({ endpointsReady, endpointsUnknown }) => endpointsReady === 1 && endpointsUnknown === 0));
    await pause(15_000);
    for (const plane of ["global", "shop-eu"] as const) {
      const { ageMs, changedAgeMs = 0 } = await catalogIn(plane);
      expect(changedAgeMs).toBeGreaterThan(10_000);
      expect(ageMs).toBeLessThan(changedAgeMs);
    }
  }, 120_000);
});

describe("what is known of a cluster whose plane stands still", () => {
  it("grows old for everybody who has it, and is fresh again when the plane goes on", async () => {
    const { pid } = await federation.view("shop-us-plane");
    if (pid === undefined) throw new Error("the plane runs");
    process.kill(pid, "SIGSTOP");
    try {
      for (const plane of ["global", "shop-eu"] as const) await eventually(`it is old at ${plane}`, async () => (await catalogIn(plane)).ageMs > 8_000, 60_000);
    } finally {
      process.kill(pid, "SIGCONT");
    }
    for (const plane of ["global", "shop-eu"] as const) await eventually(`it is fresh at ${plane}`, async () => (await catalogIn(plane)).ageMs < 4_000, 60_000);
  }, 180_000);
});

describe("an instance whose sidecar stands still", () => {
  it("is unknown and not ready, everywhere and by name, until it goes on", async () => {
    const { pid } = await federation.view(frozen);
    if (pid === undefined) throw new Error(`${frozen} runs`);
    process.kill(pid, "SIGSTOP");
    try {
      for (const plane of planes) {
        await eventually(`${plane} does not call it ready`, async () => {
          const { endpointsReady, endpointsUnknown, endpointsTotal } = await catalogIn(plane);
          return endpointsReady === 0 && endpointsUnknown === 1 && endpointsTotal === 1;
        }, 60_000);
      }
      const { stdout } = await federation.place.atoll("check");
      expect(stdout).toContain("the plane of shop-us does not hear 1 of the 1 instances of web/catalog there");
      expect((await federation.place.atoll("status")).stdout).toContain("shop-us 0/1 (1 unknown)");
      expect((await federation.place.atoll("explain", "web/catalog", "--from", "eu-west")).stdout).toContain("0/1 (1 unknown)");
      await eventually("its plane says that it owes an answer", async () => (await federation.place.atoll("check")).stdout.includes(`proxy ${frozen} has not answered the plane of shop-us`), 60_000);
    } finally {
      process.kill(pid, "SIGCONT");
    }
    for (const plane of planes) await eventually(`${plane} calls it ready again`, async () => (await catalogIn(plane)).endpointsReady === 1, 60_000);
    await eventually("nothing is wrong any more", async () => (await federation.place.atoll("check")).code === 0, 60_000);
  }, 300_000);
});
