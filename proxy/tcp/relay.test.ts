import { once } from "node:events";
import { connect, createServer, type AddressInfo, type Server, type Socket } from "node:net";
import { afterEach, describe, expect, it } from "vitest";
import { VirtualClock } from "#federation/runtime/virtual-clock.ts";
import { plainEnd, relay, type Relay, type RelayOutcome } from "./relay.ts";

const clock = new VirtualClock();
const cleanups: (() => void)[] = [];
afterEach(() => {
  for (const cleanup of cleanups.splice(0)) cleanup();
});

async function pair(): Promise<readonly [near: Socket, far: Socket]> {
  const server: Server = createServer({ allowHalfOpen: true });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const near = connect({ port: (server.address() as AddressInfo).port, host: "127.0.0.1", allowHalfOpen: true });
  const [far] = (await once(server, "connection")) as [Socket];
  server.close();
  for (const socket of [near, far]) socket.on("error", () => {});
  cleanups.push(() => {
    near.destroy();
    far.destroy();
  });
  return [near, far];
}

/** client — left ⇄ right — server, with the relay in the middle. */
async function joined(idleMs = 60_000) {
  const [client, left] = await pair();
  const [server, right] = await pair();
  const bytes = { sent: 0, received: 0 };
  let running: Relay | undefined;
  const ended = new Promise<RelayOutcome>((resolve) => {
    running = relay(plainEnd(left), plainEnd(right), {
      clock,
      idleMs,
      onBytes: (sent, received) => {
        bytes.sent += sent;
        bytes.received += received;
      },
      onEnd: resolve,
    });
  });
  return { client, server, left, right, bytes, ended, running };
}

async function read(socket: Socket): Promise<string> {
  let text = "";
  for await (const chunk of socket) text += String(chunk);
  return text;
}

describe("relay", () => {
  it("lets one direction end while the other goes on", async () => {
    const { client, server, bytes, ended } = await joined();
    client.end("question");
    expect(await read(server)).toBe("question");
    server.end("the answer, after the question's end");
    expect(await read(client)).toBe("the answer, after the question's end");
    expect(await ended).toBe("ended");
    expect(bytes).toEqual({ sent: 8, received: 36 });
  });

  it("passes a reset on as a reset, in both directions", async () => {
    const first = await joined();
    first.client.resetAndDestroy();
    expect(await once(first.server, "error")).toMatchObject([{ code: "ECONNRESET" }]);
    expect(await first.ended).toBe("reset");
    const second = await joined();
    second.server.resetAndDestroy();
    expect(await once(second.client, "error")).toMatchObject([{ code: "ECONNRESET" }]);
    expect(await second.ended).toBe("reset");
  });

  it("holds little when one side does not read, and loses nothing when it reads again", async () => {
    const { client, server, left, right, ended } = await joined();
    const chunk = Buffer.alloc(65_536, 7);
    let writable = true;
    let sent = 0;
    // Until the whole chain of buffers is full and the relay has paused its reading.
    while (writable || !left.isPaused()) {
      if (writable) {
        writable = client.write(chunk);
        sent += chunk.length;
      }
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(right.writableLength).toBeLessThan(1_000_000);
    let received = 0;
    server.on("data", (bytes: Buffer) => (received += bytes.length));
    client.end();
    await once(server, "end");
    expect(received).toBe(sent);
    server.end();
    expect(await ended).toBe("ended");
  });

  it("ends what carries nothing for too long, and what its owner stops", async () => {
    const idle = await joined(5_000);
    idle.client.write("x");
    await once(idle.server, "data");
    await clock.advance(4_999);
    expect(idle.left.destroyed).toBe(false);
    await clock.advance(1);
    expect(await idle.ended).toBe("idle");
    const stopped = await joined();
    stopped.running?.stop();
    expect(await stopped.ended).toBe("stopped");
    expect(await once(stopped.client, "error")).toMatchObject([{ code: "ECONNRESET" }]);
  });

  it("notices a side that was gone before it began", async () => {
    const [client, left] = await pair();
    const [, right] = await pair();
    left.destroy();
    await once(left, "close");
    const outcome = await new Promise((resolve) => void relay(plainEnd(left), plainEnd(right), { clock, idleMs: 1_000, onEnd: resolve }));
    expect(outcome).toBe("reset");
    expect(right.destroyed).toBe(true);
    client.destroy();
  });
});
