import { connect } from "node:net";
import type { Socket } from "node:net";
import { expect, test } from "vitest";
import { eventually, httpOrigin } from "../http/proxy-fixture.ts";
import { defaultHopLimits, frameHeadBytes, frameKinds, kindMask, preludeBytes } from "./frames.ts";
import { TestCallee } from "./hop-fixture.ts";
import { bytesOf } from "./sessions.fuzz.ts";

interface RawFrame {
  readonly kind: number;
  readonly stream: number;
  readonly payload: Buffer;
}

/** A caller's side by hand. */
class RawCaller implements Disposable {
  readonly #socket: Socket;
  #bytes = Buffer.alloc(0);

  constructor(port: number) {
    this.#socket = connect(port, "127.0.0.1");
    this.#socket.on("error", () => undefined);
    this.#socket.on("data", (chunk) => (this.#bytes = Buffer.concat([this.#bytes, chunk])));
  }

  send(kind: number, stream: number, payload: Buffer): void {
    this.#socket.write(bytesOf([{ kind, stream, payload }]));
  }

  get frames(): readonly RawFrame[] {
    const frames: RawFrame[] = [];
    for (let at = 0; at + frameHeadBytes <= this.#bytes.length; ) {
      const end = at + frameHeadBytes + this.#bytes.readUIntBE(at, 3);
      if (end > this.#bytes.length) break;
      frames.push({ kind: this.#bytes.readUInt8(at + 3) & kindMask, stream: this.#bytes.readUInt32BE(at + 4), payload: this.#bytes.subarray(at + frameHeadBytes, end) });
      at = end;
    }
    return frames;
  }

  /** By how much a stream's allowance was raised. */
  raisedOf(stream: number): number {
    return this.frames.filter((frame) => frame.kind === frameKinds.window && frame.stream === stream).reduce((sum, { payload }) => sum + payload.readUInt32BE(0), 0);
  }

  [Symbol.dispose](): void {
    this.#socket.destroy();
  }
}

test("the callee measures the way when a body comes, so that a large one is not held to the first window for each round trip", async () => {
  await using app = await httpOrigin((request, response) => {
    request.resume();
    request.on("end", () => response.end());
  });
  await using callee = await TestCallee.open(app.port);
  using caller = new RawCaller(callee.port);
  const { streamWindowMin } = defaultHopLimits;
  const prelude = Buffer.concat([Buffer.alloc(8, 0xff), Buffer.alloc(preludeBytes.request - 8)]);
  caller.send(frameKinds.settings, 0, Buffer.from([0, 1, 0, 0, 0, 100, 0]));
  caller.send(frameKinds.request, 1, Buffer.concat([prelude, Buffer.from("POST / HTTP/1.1\r\nHost: catalog.web\r\nContent-Length: 10000000\r\n\r\n")]));
  caller.send(frameKinds.data, 1, Buffer.alloc(1_000));
  const pings = (): readonly RawFrame[] => caller.frames.filter(({ kind }) => kind === frameKinds.ping);
  await eventually(() => pings().length > 0);
  await callee.clock.advance(140);
  for (const { payload } of pings()) caller.send(frameKinds.pong, 0, Buffer.concat([payload, Buffer.alloc(preludeBytes.pong - payload.length)]));
  await callee.clock.advance(100);
  for (let sent = 1_000; sent < streamWindowMin; sent += 16_000) caller.send(frameKinds.data, 1, Buffer.alloc(Math.min(16_000, streamWindowMin - sent)));
  // All that was sent may be sent again, and the window has grown besides.
  await eventually(() => caller.raisedOf(1) >= streamWindowMin / 2);
  expect(caller.raisedOf(1)).toBeGreaterThan(streamWindowMin);
});
