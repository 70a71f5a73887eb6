import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { clusterRoutes, globalRoutes } from "#federation/admin-api/plane-routes.ts";
import { sumWindows } from "#services/cli/demo/request-window.ts";
import { eventually } from "../harness/eventually.ts";
import { findContainerEngine } from "./container-engine.ts";
import { ContainerFederation } from "./container-federation.ts";
import { buildAtollImages, buildServersImage, type AtollImages } from "./images.ts";
import { clusterOf, policyText, wanAddress } from "./layout.ts";

const never = new AbortController().signal;
const { client, leftOut } = await findContainerEngine();
/** Long enough for hold-down and ramp on a busy host. */
const shiftWithinMs = 90_000;
const requestsWatched = 60;

/** Undefined only where it could not be brought up; then no test runs. */
let federation: ContainerFederation;
let images: AtollImages;
/** Windows that an earlier look has seen. */
let seen = 0;

/** What the users saw since the last call. */
async function sinceLast(): Promise<ReturnType<typeof sumWindows>> {
  const { users } = federation;
  await users.refresh(never);
  const windows = users.windows.slice(seen);
  seen = users.windows.length;
  return sumWindows(windows);
}

/** Waits until a whole look at the users, of ten requests at least, shows only `region`; returns what was seen on the way. */
async function servedBy(region: string): Promise<{ readonly failedIdempotent: number }> {
  let failedIdempotent = 0;
  await eventually(
    `users are served by ${region}`,
    async () => {
      const { users } = federation;
      await users.refresh(never);
      const sum = sumWindows(users.windows.slice(seen));
      if (sum.okTotal + sum.failed < 10) return false;
      seen = users.windows.length;
      failedIdempotent += sum.failedIdempotent;
      return sum.failed === 0 && (sum.ok[region] ?? 0) === sum.okTotal;
    },
    shiftWithinMs,
  );
  return { failedIdempotent };
}

/** Watches at least `requestsWatched` requests and returns what became of them. */
async function watch(): Promise<ReturnType<typeof sumWindows>> {
  await sinceLast();
  return eventually("the users have asked often enough", async () => {
    const { users } = federation;
    await users.refresh(never);
    const sum = sumWindows(users.windows.slice(seen));
    return sum.okTotal + sum.failed >= requestsWatched && sum;
  }, shiftWithinMs);
}

async function failures(): Promise<string> {
  return JSON.stringify(await federation.users.failures(never));
}

// Each step rests on the one before it: the order of the tests is part of the scenario.
describe.skipIf(client === undefined)(`the federation in containers${leftOut}`, () => {
  beforeAll(async () => {
    if (client === undefined) return;
    await buildServersImage();
    images = await buildAtollImages();
    federation = await ContainerFederation.start(client, images.previous);
  }, 1_800_000);

  afterAll(async () => {
    await (federation as ContainerFederation | undefined)?.[Symbol.asyncDispose]();
  }, 120_000);

  it("carries a request to nginx in another region", async () => {
    expect(await federation.callFromUsers("catalog.web", "/")).toMatchObject({ status: 200, region: "us-east", body: "us-east\n" });
  });

  it("tells httpbin in another region who calls, from the handshake", async () => {
    const answer = await eventually("echo.web answers", async () => {
      const got = await federation.callFromUsers("echo.web", "/headers");
      return got.status === 200 && got;
    });
    expect(answer.body).toContain("spiffe://shop.example/ns/web/sa/users");
  });

  it("serves users from the next region when one is cut off, and from it again when the cut heals", async () => {
    const { wan } = federation.networks;
    const cut = (["nats", "plane", "gateway"] as const).map((host) => ({ id: federation.containers.containerId(`us-east-${host}`), address: wanAddress(federation.networks, "us-east", host) }));
    await sinceLast();
    for (const { id } of cut) await wan.disconnect(id);
    await servedBy("ap-south");
    const shifted = await watch();
    expect(shifted.failedIdempotent, await failures()).toBe(0);
    expect(shifted.ok).toEqual({ "ap-south": shifted.okTotal });
    for (const { id, address } of cut) await wan.connect(id, address);
    expect((await servedBy("us-east")).failedIdempotent, await failures()).toBe(0);
  });

  it("loses no repeatable request when a gateway is killed and comes back", async () => {
    await sinceLast();
    await federation.containers.kill("us-east-gateway");
    expect((await servedBy("ap-south")).failedIdempotent, await failures()).toBe(0);
    await federation.containers.startAgain("us-east-gateway");
    expect((await servedBy("us-east")).failedIdempotent, await failures()).toBe(0);
  });

  it("loses no repeatable request when a gateway falls silent and wakes", async () => {
    await sinceLast();
    await federation.containers.pause("us-east-gateway");
    expect((await servedBy("ap-south")).failedIdempotent, await failures()).toBe(0);
    await federation.containers.unpause("us-east-gateway");
    expect((await servedBy("us-east")).failedIdempotent, await failures()).toBe(0);
  });

  it("serves on without one failure while every plane is dead, and has them back", async () => {
    const planes = ["global", "eu-west-plane", "us-east-plane", "ap-south-plane"];
    await federation.containers.kill(...planes);
    const sum = await watch();
    expect(sum.failed, await failures()).toBe(0);
    await federation.containers.startAgain(...planes);
    await allConnected();
  });

  it("goes from the previous commit's programs to these and back, planes first both times, obeys operators while they differ, and loses no repeatable request", async () => {
    // The users' own sidecar stays what it is: it cannot be replaced under its users without refusing them, whatever the version.
    const { names } = federation.parts;
    const planes = names.filter((name) => name === "global" || name.endsWith("-plane"));
    const proxies = names.filter((name) => !planes.includes(name) && name !== "users-sidecar");
    expect([planes.length, proxies.length]).toEqual([4, 4]);
    await sinceLast();
    // Forth, planes are newer than their proxies for a while; back, they are older.
    for (const image of [images.current, images.previous]) {
      for (const name of planes) await federation.parts.replace(name, image);
      await allConnected();
      await federation.apply(policyText(["ap-south", "us-east"]), []);
      expect((await servedBy("ap-south")).failedIdempotent, await failures()).toBe(0);
      for (const name of proxies) {
        await federation.parts.replace(name, image);
        // As an operator would: the other region is not taken away before this one is known to serve again.
        await bothServe();
      }
      await allConnected();
      await federation.apply(policyText(["us-east", "ap-south"]), []);
      expect((await servedBy("us-east")).failedIdempotent, await failures()).toBe(0);
      for (const name of [...planes, ...proxies]) expect(await federation.containers.imageOf(name), name).toBe(image);
    }
  });

  /** The users' sidecar has heard that both regions serve. */
  async function bothServe(): Promise<void> {
    await eventually("both regions serve", async () => {
      const { body } = await federation.planes.global().call(globalRoutes.status, {}, never);
      const ready = (body.services.find(({ name }) => name === "catalog")?.places ?? []).filter(({ endpointsReady }) => endpointsReady > 0);
      return ready.length === 2 && body.clusters.every(({ acknowledgedSeq, sentSeq }) => acknowledgedSeq >= sentSeq);
    }, shiftWithinMs);
    await eventually("the users' sidecar has heard of it", async () => {
      const { body } = await federation.planes.cluster(clusterOf["eu-west"]).call(clusterRoutes.status, {}, never);
      return body.proxies.length > 0 && body.proxies.every(({ connected, lagMs }) => connected && lagMs === 0);
    }, shiftWithinMs);
  }

  /** Every proxy is with its plane, and every plane heard by the global one. */
  async function allConnected(): Promise<void> {
    for (const cluster of Object.values(clusterOf)) {
      await eventually(`${cluster}'s proxies are connected`, async () => {
        const { body } = await federation.planes.cluster(cluster).call(clusterRoutes.status, {}, never);
        return body.proxies.length > 0 && body.proxies.every(({ connected }) => connected);
      }, shiftWithinMs);
    }
  }
});
