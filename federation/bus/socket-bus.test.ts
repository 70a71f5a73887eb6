import { mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeEach, describe, expect, it } from "vitest";
import { systemClock } from "#federation/runtime/clock.ts";
import { systemRandom } from "#federation/runtime/random.ts";
import { silentLogger } from "#federation/telemetry/logger.ts";
import type { Bus } from "./bus.ts";
import { connected, describeBusContract, MessageReader, settleInterest } from "./bus-contract.ts";
import type { BusObserver } from "./bus-observer.ts";
import type { SocketAddress } from "./socket-address.ts";
import { openSocketBus } from "./socket-bus.ts";
import { encodeFrame } from "./socket-frames.ts";
import { openSocketHub, type SocketHub } from "./socket-hub.ts";

const directory = mkdtempSync(join(tmpdir(), "atoll-bus-"));
let paths = 0;
const newPath = (): string => join(directory, `${++paths}.sock`);
afterAll(() => rmSync(directory, { recursive: true, force: true }));

const openHub = (address: SocketAddress, observer?: BusObserver): Promise<SocketHub> =>
  openSocketHub({ address, clock: systemClock, logger: silentLogger, ...(observer === undefined ? {} : { observer }) });
const openBus = (address: SocketAddress, observer?: BusObserver): Bus =>
  openSocketBus({ address, clock: systemClock, random: systemRandom, logger: silentLogger, ...(observer === undefined ? {} : { observer }) });

for (const address of [{ kind: "unix", path: newPath() }, { kind: "tcp", host: "127.0.0.1", port: 0 }] as const) {
  describeBusContract(`socket, ${address.kind}`, async () => {
    const hub = await openHub(address);
    return {
      open: (observer) => Promise.resolve(openBus(hub.address, observer)),
      [Symbol.asyncDispose]: () => hub[Symbol.asyncDispose](),
    };
  });
}

describe("a socket bus", () => {
  let stop: AbortController;
  let address: SocketAddress & { readonly kind: "unix" };
  beforeEach(() => {
    stop = new AbortController();
    address = { kind: "unix", path: newPath() };
  });
  afterEach(() => stop.abort());

  it("opens without its hub, drops and counts meanwhile, and survives the hub's restarts with its subscriptions", async () => {
    let drops = 0;
    let returns = 0;
    await using a = openBus(address, { dropped: (count) => void (drops += count), reconnected: () => void returns++ });
    await using b = openBus(address);
    const reader = new MessageReader(b.subscribe("x.*", stop.signal));
    a.publish("x.lost", new Uint8Array());
    await expect(a.request("x.lost", new Uint8Array(), 10_000, stop.signal)).rejects.toMatchObject({ code: "ATOLL_BUS_UNAVAILABLE" });
    for (let round = 0; round < 3; round++) {
      const hub = await openHub(address);
      await Promise.all([connected(a, stop.signal), connected(b, stop.signal)]);
      await settleInterest(a, b, stop.signal);
      a.publish(`x.${round}`, new TextEncoder().encode("here"));
      expect(await reader.take(1)).toEqual([`x.${round} here`]);
      await hub[Symbol.asyncDispose]();
      for await (const state of a.state.changes(stop.signal)) if (state === "disconnected") break;
    }
    expect([drops, returns]).toEqual([1, 2]);
  });

  it("fails the requests that were unanswered when the connection broke", async () => {
    const hub = await openHub(address);
    await using a = openBus(address);
    await connected(a, stop.signal);
    const served = new MessageReader(a.subscribe("silent", stop.signal));
    const answer = a.request("silent", new Uint8Array(), 3_600_000, stop.signal);
    const refused = expect(answer).rejects.toMatchObject({ code: "ATOLL_BUS_UNAVAILABLE" });
    await served.next();
    await hub[Symbol.asyncDispose]();
    await refused;
  });
});

describe("a socket hub", () => {
  it("takes the place of a dead hub, but not of a living one, and lets nobody else in", async () => {
    const address = { kind: "unix", path: newPath() } as const;
    writeFileSync(address.path, "");
    await using hub = await openHub(address);
    expect(hub.address).toEqual(address);
    expect(statSync(address.path).mode & 0o777).toBe(0o600);
    await expect(openHub(address)).rejects.toMatchObject({ code: "ATOLL_BUS_UNAVAILABLE" });
  });

  it("cuts off a client that speaks another protocol, and goes on serving the others", async () => {
    const address = { kind: "unix", path: newPath() } as const;
    const stop = new AbortController();
    await using hub = await openHub(address);
    await using bus = openBus(address);
    await connected(bus, stop.signal);
    const hello = encodeFrame({ kind: "hello", version: 1 });
    const hostile = [
      Buffer.from("GET / HTTP/1.1\r\n\r\n"),
      Buffer.of(0, 0, 0, 0),
      Buffer.of(0xff, 0xff, 0xff, 0xff, 1),
      Buffer.of(0, 0, 0, 1, 99),
      encodeFrame({ kind: "hello", version: 2 }),
      encodeFrame({ kind: "ping" }),
      Buffer.concat([hello, encodeFrame({ kind: "subscribe", id: 1, pattern: "a..b" })]),
      Buffer.concat([hello, encodeFrame({ kind: "publish", subject: "a.*", replyTo: "", payload: Buffer.alloc(0) })]),
      Buffer.concat([hello, encodeFrame({ kind: "message", id: 1, subject: "a", replyTo: "", payload: Buffer.alloc(0) })]),
      Buffer.concat([hello, Buffer.of(0, 0, 0, 4, 4, 0xff, 0xff, 65)]),
    ];
    for (const bytes of hostile) {
      const socket = connect(address.path);
      socket.on("error", () => undefined);
      socket.write(bytes);
      socket.resume();
      await new Promise((resolve) => {
        socket.once("close", resolve);
      });
    }
    await settleInterest(bus, bus, stop.signal);
    expect(hub.clientCount).toBe(1);
    stop.abort();
  });

  it("bounds what waits for a client that does not read, and counts what it loses", async () => {
    const address = { kind: "unix", path: newPath() } as const;
    const stop = new AbortController();
    const lost = { count: 0 };
    await using _hub = await openHub(address, { dropped: (count) => void (lost.count += count), reconnected() {} });
    await using bus = openBus(address);
    await connected(bus, stop.signal);
    const stuck = connect(address.path);
    stuck.pause();
    stuck.write(Buffer.concat([encodeFrame({ kind: "hello", version: 1 }), encodeFrame({ kind: "subscribe", id: 1, pattern: "big" })]));
    const payload = new Uint8Array(1024 * 1024);
    while (lost.count === 0) {
      bus.publish("big", payload);
      await settleInterest(bus, bus, stop.signal);
    }
    stuck.destroy();
    stop.abort();
    expect(lost.count).toBeGreaterThan(0);
  });
});
