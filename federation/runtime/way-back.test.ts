import { createServer, type Server } from "node:net";
import { afterEach, beforeEach, expect, it } from "vitest";
import { systemClock } from "./clock.ts";
import { closeServer, listen, portOf } from "./listen.ts";
import { systemRandom } from "./random.ts";
import { WayBack, type WayBackOptions } from "./way-back.ts";

const host = "127.0.0.1";
const times = { lookMs: 20, silentMs: 100, dialMs: 100 };
let server: Server;
let connections: number;
let redials: number;
let common: WayBackOptions;
let wayBack: WayBack;

beforeEach(async () => {
  connections = 0;
  redials = 0;
  server = createServer((socket) => {
    connections++;
    socket.on("error", () => undefined).resume();
  });
  await listen(server, { host, port: 0 });
  const port = portOf(server);
  common = { members: async () => [{ host, port }], clock: systemClock, random: systemRandom, redial: () => redials++, times };
  wayBack = new WayBack(common);
});
afterEach(async () => {
  wayBack[Symbol.dispose]();
  if (server.listening) await closeServer(server);
});

it("gives the connections up when a member that has been silent takes connections again, once", async () => {
  const port = portOf(server);
  await closeServer(server);
  wayBack.failed();
  await new Promise((resolve) => systemClock.schedule(times.silentMs + times.dialMs, () => resolve(undefined)));
  expect(redials, "nobody is there").toBe(0);
  await listen(server, { host, port });
  await expect.poll(() => redials, { timeout: 20_000 }).toBe(1);
  const looks = connections;
  await new Promise((resolve) => systemClock.schedule(10 * times.lookMs, () => resolve(undefined)));
  expect([redials, connections]).toEqual([1, looks]);
  wayBack.failed();
  await expect.poll(() => redials, { timeout: 20_000 }).toBe(2);
});

it("leaves one alone that is slow: it answers now and then", async () => {
  using slow = new WayBack({ ...common, times: { ...times, silentMs: 600_000 } });
  slow.failed();
  await expect.poll(() => connections, { timeout: 20_000 }).toBeGreaterThan(5);
  slow.answered();
  await new Promise((resolve) => systemClock.schedule(10 * times.lookMs, () => resolve(undefined)));
  const looks = connections;
  await new Promise((resolve) => systemClock.schedule(10 * times.lookMs, () => resolve(undefined)));
  expect([redials, connections]).toEqual([0, looks]);
});

it("looks no longer when it is given up", async () => {
  wayBack.failed();
  wayBack[Symbol.dispose]();
  wayBack.failed();
  await new Promise((resolve) => systemClock.schedule(times.silentMs + 5 * times.lookMs, () => resolve(undefined)));
  expect([redials, connections]).toEqual([0, 0]);
});
