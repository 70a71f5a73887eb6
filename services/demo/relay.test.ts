import { once } from "node:events";
import { createConnection, createServer, type AddressInfo, type Server, type Socket } from "node:net";
import { afterEach, describe, expect, it } from "vitest";
import { systemClock } from "#federation/runtime/clock.ts";
import { startRelay } from "./relay.ts";

const closers: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

async function serve(onConnection: (socket: Socket) => void): Promise<number> {
  const sockets = new Set<Socket>();
  const server: Server = createServer({ allowHalfOpen: true }, (socket) => {
    sockets.add(socket);
    onConnection(socket);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  closers.push(() => {
    for (const socket of sockets) socket.destroy();
    return new Promise((resolve) => server.close(resolve));
  });
  return (server.address() as AddressInfo).port;
}

async function relayTo(port: number, oneWayMs = 5): Promise<number> {
  const address = "127.0.0.1";
  const relay = await startRelay({ name: "r", dataDir: "", links: [{ name: "link", listen: { address, port: 0 }, target: { address, port }, oneWayMs }] }, systemClock);
  closers.push(() => relay.drain());
  return relay.ports["link"] ?? 0;
}

function dial(port: number): Socket {
  const socket = createConnection({ port, host: "127.0.0.1", allowHalfOpen: true });
  socket.on("error", () => {});
  closers.push(() => socket.destroy());
  return socket;
}

async function readAll(socket: Socket): Promise<Buffer> {
  const chunks: Buffer[] = [];
  socket.on("data", (chunk: Buffer) => chunks.push(chunk));
  socket.resume();
  await once(socket, "end");
  return Buffer.concat(chunks);
}

describe("the relay", () => {
  it("passes every byte in order both ways, and the end of each way by itself", async () => {
    const payload = Buffer.from(Array.from({ length: 3_000_000 }, (_, index) => (index * 31) % 251));
    // The far side answers only after it has seen the end: a half-closed connection must go on the other way.
    const port = await serve((socket) => void readAll(socket).then((received) => socket.end(received)));
    const socket = dial(await relayTo(port));
    socket.end(payload);
    const echoed = await readAll(socket);
    expect(echoed.equals(payload)).toBe(true);
  });

  it("holds back a fast sender whose reader is slow, and loses nothing", async () => {
    const payload = Buffer.alloc(24 * 1024 * 1024, 7);
    let reader: Socket | undefined;
    const port = await serve((socket) => {
      socket.pause();
      reader = socket;
    });
    const socket = dial(await relayTo(port));
    socket.end(payload);
    await expect.poll(() => reader !== undefined && socket.bytesWritten > 0).toBe(true);
    // Nobody reads: what the sender could hand over is bounded by the relay and the sockets' buffers.
    await expect.poll(() => socket.writableLength > 0).toBe(true);
    const received = reader === undefined ? Buffer.alloc(0) : await readAll(reader);
    expect(received.length).toBe(payload.length);
  });

  it("passes a reset as a reset", async () => {
    const port = await serve((socket) => {
      socket.on("error", () => {});
      socket.once("data", () => socket.resetAndDestroy());
    });
    const socket = dial(await relayTo(port));
    const failed = once(socket, "error") as Promise<[NodeJS.ErrnoException]>;
    socket.write("x");
    const [error] = await failed;
    expect(error.code).toBe("ECONNRESET");
  });

  it("turns a target that refuses into a reset", async () => {
    const port = await serve(() => {});
    const relay = await relayTo(port);
    await closers.shift()?.();
    const socket = dial(relay);
    const failed = once(socket, "error") as Promise<[NodeJS.ErrnoException]>;
    socket.write("x");
    const [error] = await failed;
    expect(error.code).toBe("ECONNRESET");
  });

  it("delays each way, and charges the handshake's round trip to the first bytes", async () => {
    const oneWayMs = 40;
    const port = await serve((socket) => socket.on("data", (chunk: Buffer) => socket.write(chunk)));
    const socket = dial(await relayTo(port, oneWayMs));
    const times: number[] = [];
    for (let turn = 0; turn < 2; turn++) {
      const sentMs = systemClock.monotonicMs();
      socket.write("ping");
      await once(socket, "data");
      times.push(systemClock.monotonicMs() - sentMs);
    }
    // A lower bound only: a busy machine may always be slower.
    expect(times[0]).toBeGreaterThanOrEqual(4 * oneWayMs - 5);
    expect(times[1]).toBeGreaterThanOrEqual(2 * oneWayMs - 2);
  });
});
