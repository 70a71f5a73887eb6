// Whatever a peer sends, a session serves on or closes with a reason: it never throws, and never holds more than it may.
// Run: node proxy/hop/sessions.fuzz.ts [runs] [seed]
import { EventEmitter } from "node:events";
import type { Socket } from "node:net";
import * as fc from "fast-check";
import type { SpiffeId } from "#federation/model/names.ts";
import { VirtualClock } from "#federation/runtime/virtual-clock.ts";
import { unknownLoad } from "../admission/load-report.ts";
import { Continue } from "../http/exchange.ts";
import type { Exchange, Stage } from "../http/exchange.ts";
import { defaultHttpLimits } from "../http/http-limits.ts";
import { TimingWheel } from "../http/timing-wheel.ts";
import type { ConnectHandler } from "../upstream/connector.ts";
import { bareRequest } from "../upstream/request-fixture.ts";
import type { ConnectionUser, Upstream } from "../upstream/upstream.ts";
import { CalleeSession } from "./callee-session.ts";
import { CallerSession } from "./caller-session.ts";
import { defaultHopLimits, endFlag, frameHeadBytes, frameKinds, hopProtocol } from "./frames.ts";
import type { HopFault } from "./hop-link.ts";

/** A frame as a hostile peer may build it. */
export interface HostileFrame {
  readonly kind: number;
  readonly stream: number;
  readonly payload: Uint8Array;
}

const heads = ["GET / HTTP/1.1\r\nHost: a\r\n\r\n", "POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n", "HTTP/1.1 204 No Content\r\n\r\n", "GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", "x-a: b\r\n", ""];
const words = [0, 1, 2, 0x7fff_ffff, 0xffff_ffff];

const payload = fc.oneof(
  fc.uint8Array({ maxLength: 40 }),
  fc.tuple(fc.array(fc.constantFrom(...words), { minLength: 3, maxLength: 3 }), fc.constantFrom(...heads)).map(([numbers, head]) => {
    const prelude = Buffer.alloc(12);
    for (const [at, number] of numbers.entries()) prelude.writeUInt32BE(number, 4 * at);
    return Buffer.concat([prelude, Buffer.from(head, "latin1")]);
  }),
  // A response's prelude is shorter.
  fc.constantFrom(...heads).map((head) => Buffer.concat([Buffer.alloc(8), Buffer.from(head, "latin1")])),
);

/** Frames in any order, most of them on few streams, so that they meet. */
export const hostileFrames: fc.Arbitrary<readonly HostileFrame[]> = fc.array(
  fc.record({
    kind: fc.tuple(fc.constantFrom(...Object.values(frameKinds), 60), fc.boolean()).map(([kind, end]) => (end ? kind | endFlag : kind)),
    stream: fc.oneof({ weight: 5, arbitrary: fc.integer({ min: 0, max: 4 }) }, { weight: 1, arbitrary: fc.constantFrom(9, 0x7fff_ffff, 0xffff_ffff) }),
    payload,
  }),
  { maxLength: 30 },
);

const settings: HostileFrame = { kind: frameKinds.settings, stream: 0, payload: Buffer.from([0, 1, 0, 0, 0, 100, 0]) };

/** Frames as the wire has them. */
export function bytesOf(frames: readonly HostileFrame[]): Buffer {
  return Buffer.concat(
    frames.map(({ kind, stream, payload: bytes }) => {
      const head = Buffer.alloc(frameHeadBytes);
      head.writeUIntBE(bytes.length, 0, 3);
      head[3] = kind;
      head.writeUInt32BE(stream, 4);
      return Buffer.concat([head, bytes]);
    }),
  );
}

/** What a session needs of a socket; its writes end at once. */
class LooseSocket extends EventEmitter {
  writable = true;
  writableLength = 0;
  alpnProtocol = hopProtocol;

  write(_bytes: Buffer, done: () => void): boolean {
    done();
    return true;
  }

  setNoDelay(): void {}

  destroySoon(): void {
    this.destroy();
  }

  destroy(): void {
    if (!this.writable) return;
    this.writable = false;
    this.emit("close");
  }

  end(): void {
    this.destroy();
  }
}

/** An application that takes everything and answers every third request at once. */
class LooseApp implements Stage {
  readonly name = "app";
  readonly open = new Set<Exchange>();
  requests = 0;

  request(x: Exchange): typeof Continue {
    this.open.add(x);
    x.forwarder = {
      requestBody: (_x, _buffer, start, end) => (end - start) % 3 !== 0,
      requestComplete: () => undefined,
      clientWritable: () => undefined,
      cancel: () => undefined,
      tryTimedOut: () => undefined,
    };
    if (++this.requests % 3 !== 0) return Continue;
    x.status = 200;
    x.responseFraming = "length";
    x.responseHead = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n";
    x.client.startResponse(x);
    x.client.writeBody(x, Buffer.from("ok"), 0, 2);
    x.client.finishResponse(x);
    return Continue;
  }

  response(): void {}

  end(x: Exchange): void {
    this.open.delete(x);
  }
}

/** Feeds the frames to a callee's session, cut into pieces of `pieceBytes`. Throws when it does what it never may. */
export function attackCallee(frames: readonly HostileFrame[], pieceBytes: number): void {
  const clock = new VirtualClock();
  const socket = new LooseSocket();
  const app = new LooseApp();
  const faults: HopFault[] = [];
  let closed = 0;
  const session = new CalleeSession(
    {
      stages: [app],
      wheel: new TimingWheel(clock),
      httpLimits: defaultHttpLimits,
      hopLimits: { ...defaultHopLimits, streamsMax: 3 },
      logsFields: false,
      instance: "i",
      nowMs: () => clock.monotonicMs(),
      onHopFault: (fault) => faults.push(fault),
      onStreamRefused: () => undefined,
      onClose: () => closed++,
    },
    socket as unknown as Socket,
    { identity: { callerId: "spiffe://a.example/ns/a/sa/a" as SpiffeId, sni: "a", forwardedClientCert: "", priorityMin: 1 }, report: () => unknownLoad },
  );
  const bytes = bytesOf([settings, ...frames]);
  for (let at = 0; at < bytes.length && socket.writable; at += pieceBytes) {
    socket.emit("data", bytes.subarray(at, at + pieceBytes));
    if (session.streams > 3) throw new Error("more streams than the bound");
  }
  if (faults.length > 1) throw new Error(`faults ${faults.join(", ")} on one connection`);
  if (faults.length === 1 && socket.writable) throw new Error("a fault left the connection open");
  socket.destroy();
  if (closed !== 1 || session.streams !== 0 || app.open.size !== 0) throw new Error(`after its end: closed ${closed} times, ${session.streams} streams, ${app.open.size} exchanges`);
}

/** The same against a caller's session with three requests on it: each is to hear of its end exactly once. */
export function attackCaller(frames: readonly HostileFrame[], pieceBytes: number): void {
  const clock = new VirtualClock();
  const socket = new LooseSocket();
  let handler: ConnectHandler | undefined;
  const faults: HopFault[] = [];
  const session = new CallerSession(
    {
      target: { address: "127.0.0.1", port: 1, sni: "a", identities: [] },
      wheel: new TimingWheel(clock),
      httpLimits: defaultHttpLimits,
      hopLimits: defaultHopLimits,
      wantedAtMs: 0,
      nowMs: () => clock.monotonicMs(),
      onOpen: () => undefined,
      onOtherProtocol: () => undefined,
      onProven: () => undefined,
      onDraining: () => undefined,
      onSilence: () => undefined,
      onReport: () => undefined,
      onRoom: () => undefined,
      onClosed: () => undefined,
      onFault: (fault) => faults.push(fault),
    },
    {
      negotiates: true,
      connect: (_target, given) => {
        handler = given;
        return socket as unknown as Socket;
      },
    },
    { connectMs: 1_000, idleMs: 1_000, ageMs: 1_000 },
  );
  handler?.onReady();
  const users = Array.from({ length: 3 }, () => new CountingUser());
  for (const user of users) user.onConnection(session.stream());
  const bytes = bytesOf([settings, ...frames]);
  for (let at = 0; at < bytes.length && socket.writable; at += pieceBytes) {
    const piece = bytes.subarray(at, at + pieceBytes);
    handler?.onBytes(piece.length, Buffer.from(piece));
  }
  if (faults.length > 1) throw new Error(`faults ${faults.join(", ")} on one connection`);
  socket.destroy();
  for (const { ends } of users) if (ends !== 1) throw new Error(`a request heard of its end ${ends} times`);
}

class CountingUser implements ConnectionUser {
  ends = 0;

  onConnection(upstream: Upstream): void {
    upstream.send(this, { ...bareRequest, requestFields: "Host: a\r\n", idleMs: 1_000, hopLeftMs: () => 1_000 });
  }

  onConnectFailure(): void {
    this.ends++;
  }

  onSilence(): void {}

  onHead(): void {
    if (this.ends > 0) throw new Error("a head after the end");
  }

  onBody(): void {
    if (this.ends > 0) throw new Error("a body after the end");
  }

  onComplete(): void {
    this.ends++;
  }

  onReadEnd(): void {}

  onLost(): void {
    this.ends++;
  }

  onRefused(): void {
    this.ends++;
  }

  onWritable(): void {}
}

/** Both sides under `numRuns` attacks each. */
export function fuzzSessions(numRuns: number, seed?: number): void {
  const parameters = seed === undefined ? { numRuns } : { numRuns, seed };
  const pieces = fc.integer({ min: 1, max: 400 });
  fc.assert(fc.property(hostileFrames, pieces, (frames, pieceBytes) => attackCallee(frames, pieceBytes)), parameters);
  fc.assert(fc.property(hostileFrames, pieces, (frames, pieceBytes) => attackCaller(frames, pieceBytes)), parameters);
}

if (import.meta.main) {
  const numRuns = Number(process.argv[2] ?? 50_000);
  const seed = Number(process.argv[3] ?? Math.floor(performance.timeOrigin + performance.now()) % 0x7fff_ffff);
  process.stdout.write(`${numRuns} runs, seed ${seed}\n`);
  fuzzSessions(numRuns, seed);
  process.stdout.write("no session did what it never may\n");
}
