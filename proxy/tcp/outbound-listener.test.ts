import { once } from "node:events";
import { connect, createServer, type AddressInfo, type Socket } from "node:net";
import { afterEach, describe, expect, it } from "vitest";
import type { ClusterId, RegionId } from "#federation/model/names.ts";
import { defaultTrafficPolicy } from "#federation/model/traffic-policy.ts";
import { systemClock } from "#federation/runtime/clock.ts";
import { VirtualClock } from "#federation/runtime/virtual-clock.ts";
import { LocalStall } from "../health/local-stall.ts";
import type { Candidate, Chooser, Outcome } from "../upstream/chooser.ts";
import type { ConnectionPool } from "../upstream/connection-pool.ts";
import { plainConnector } from "../upstream/connector.ts";
import { createTcpStats, TcpListener } from "./outbound-listener.ts";

const cleanups: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

/** Gives out the ports in turn and remembers what was said of each. */
class TurnChooser implements Chooser {
  readonly outcomes: (readonly [port: number, outcome: Outcome])[] = [];
  readonly #ports: number[];
  inFlight = 0;

  constructor(ports: readonly number[]) {
    this.#ports = [...ports];
  }

  choose(): Candidate | undefined {
    const port = this.#ports.shift();
    if (port === undefined) return undefined;
    const target = { address: "127.0.0.1", port, sni: "", identities: [] };
    return { pool: { target } as unknown as ConnectionPool, cluster: "c" as ClusterId, region: "r" as RegionId, seriesKey: "c" };
  }

  readonly hasOthers = true;
  readonly hasReachable = true;

  chooseWithRoom(): undefined {
    return undefined;
  }

  report(candidate: Candidate, outcome: Outcome): void {
    this.outcomes.push([candidate.pool.target.port, outcome]);
  }
}

async function portOf(onSocket: ((socket: Socket) => void) | undefined): Promise<number> {
  const server = createServer({ allowHalfOpen: true }, onSocket);
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  if (onSocket === undefined) {
    server.close();
    await once(server, "close");
  } else cleanups.push(() => void server.close());
  return port;
}

async function open(chooser: Chooser | undefined, stats = createTcpStats()): Promise<{ readonly listener: TcpListener; readonly stats: typeof stats }> {
  const listener = await TcpListener.open({
    address: "127.0.0.1",
    port: 0,
    connector: plainConnector,
    clock: systemClock,
    stall: new LocalStall(new VirtualClock()),
    stats,
    chooser: () => (chooser === undefined ? undefined : { chooser, policy: defaultTrafficPolicy }),
  });
  cleanups.push(() => listener.drain(0));
  return { listener, stats };
}

async function exchange(port: number, bytes: string): Promise<string> {
  const socket = connect(port, "127.0.0.1");
  socket.end(bytes);
  let text = "";
  for await (const chunk of socket) text += String(chunk);
  return text;
}

describe("TcpListener", () => {
  it("goes to the next place when one cannot be reached", async () => {
    // In this order: a port that was given back may be given to the next who asks.
    const live = await portOf((socket) => void socket.pipe(socket));
    const dead = await portOf(undefined);
    const chooser = new TurnChooser([dead, live]);
    const { listener, stats } = await open(chooser);
    expect(await exchange(listener.port, "through")).toBe("through");
    expect(chooser.outcomes).toEqual([
      [dead, "connectFailure"],
      [live, "success"],
    ]);
    expect(stats).toMatchObject({ connections: 1, retried: 1, failures: 0, bytesSent: 7, bytesReceived: 7 });
  });

  it("resets the application when nothing can be reached, or nobody knows the service", async () => {
    const chooser = new TurnChooser([await portOf(undefined), await portOf(undefined)]);
    const { listener, stats } = await open(chooser);
    await expect(exchange(listener.port, "x")).rejects.toMatchObject({ code: "ECONNRESET" });
    expect(stats.failures).toBe(1);
    const nowhere = await open(undefined);
    await expect(exchange(nowhere.listener.port, "x")).rejects.toMatchObject({ code: "ECONNRESET" });
  });

  it("tells a reset before the first byte as the place's fault, and one after it not", async () => {
    const resets = await portOf((socket) => socket.once("data", () => socket.resetAndDestroy()));
    const chooser = new TurnChooser([resets]);
    const { listener } = await open(chooser);
    await expect(exchange(listener.port, "x")).rejects.toMatchObject({ code: "ECONNRESET" });
    expect(chooser.outcomes).toEqual([[resets, "reset"]]);
    const later = await portOf((socket) => socket.once("data", () => socket.write("begun", () => socket.once("data", () => socket.resetAndDestroy()))));
    const second = new TurnChooser([later]);
    const opened = await open(second);
    const client = connect(opened.listener.port, "127.0.0.1");
    client.write("x");
    await once(client, "data");
    client.write("y");
    expect(await once(client, "error")).toMatchObject([{ code: "ECONNRESET" }]);
    expect(second.outcomes).toEqual([[later, "success"]]);
  });
});
