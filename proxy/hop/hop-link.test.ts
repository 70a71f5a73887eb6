import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { FrameOutput } from "./frame-output.ts";
import { defaultHopLimits, frameKinds } from "./frames.ts";
import type { HopLimits } from "./frames.ts";
import { exchangeBytes, FakeSide, FakeSocket } from "./link-fixture.ts";

const small: HopLimits = {
  ...defaultHopLimits,
  dataBytesMax: 100,
  streamWindowMin: 400,
  streamWindowMax: 1_600,
  connectionWindowMin: 1_000,
  connectionWindowMax: 4_000,
  heldBytesMax: 100_000,
};

function pair(limits: HopLimits = small): readonly [FakeSide, FakeSide] {
  const sides = [new FakeSide(limits), new FakeSide(limits)] as const;
  for (const side of sides) side.link.sendSettings("i");
  exchangeBytes(...sides);
  return sides;
}

function bytesOf(length: number, seed: number): Buffer {
  return Buffer.from(Array.from({ length }, (_, at) => (at * 7 + seed) & 255));
}

describe("bodies over a link", () => {
  test("arrive whole and in order, however many share it and however small the windows", () => {
    const body = fc.record({ pieces: fc.array(fc.nat(900), { minLength: 1, maxLength: 8 }), trailers: fc.constantFrom("", "x-sum: 1\r\n") });
    fc.assert(
      fc.property(fc.array(body, { minLength: 1, maxLength: 5 }), fc.integer({ min: 1, max: 300 }), (bodies, pieceBytes) => {
        const [left, right] = pair();
        const wanted: Buffer[] = [];
        for (const [index, { pieces, trailers }] of bodies.entries()) {
          const out = left.stream(index + 1);
          right.stream(index + 1);
          const parts = pieces.map((length, at) => bytesOf(length, at + index));
          for (const part of parts) out.flow.write(part, 0, part.length);
          out.flow.end(trailers);
          wanted.push(Buffer.concat(parts));
        }
        exchangeBytes(left, right, pieceBytes);
        for (const [index, whole] of wanted.entries()) {
          expect(right.open.get(index + 1)?.bytes.equals(whole)).toBe(true);
          expect(left.open.get(index + 1)?.flow.sentEnd).toBe(true);
        }
        expect([left.faults, right.faults]).toEqual([[], []]);
      }),
    );
  });

  test("whose reader has stopped do not hold up others", () => {
    const [left, right] = pair();
    const stuck = left.stream(1);
    right.stream(1).flow.pause();
    const flowing = left.stream(2);
    right.stream(2);
    const whole = bytesOf(5_000, 3);
    expect(stuck.flow.write(whole, 0, whole.length)).toBe(false);
    flowing.flow.write(whole, 0, whole.length);
    flowing.flow.end("");
    exchangeBytes(left, right);
    expect(right.open.get(1)?.bytes).toHaveLength(small.streamWindowMin);
    expect(right.open.get(2)?.bytes.equals(whole)).toBe(true);
    right.open.get(1)?.flow.unpause();
    exchangeBytes(left, right);
    expect(right.open.get(1)?.bytes.equals(whole)).toBe(true);
    expect(stuck.writableCalls).toBeGreaterThan(0);
  });

  test("that nobody reads are bounded over all streams", () => {
    const [left, right] = pair({ ...small, heldBytesMax: 900 });
    const whole = bytesOf(5_000, 3);
    for (let id = 1; id <= 20; id++) {
      left.stream(id).flow.write(whole, 0, whole.length);
      right.stream(id).flow.pause();
    }
    exchangeBytes(left, right);
    const held = [...right.open.values()].reduce((sum, stream) => sum + stream.bytes.length, 0);
    expect(held).toBeLessThanOrEqual(900 + small.connectionWindowMax);
    for (const stream of right.open.values()) stream.flow.unpause();
    exchangeBytes(left, right);
    for (const stream of right.open.values()) expect(stream.bytes.equals(whole)).toBe(true);
  });

  test("wait while the socket has not taken what was written", () => {
    const [left, right] = pair({ ...defaultHopLimits, unsentBytesMax: 10_000 });
    const out = left.stream(1);
    right.stream(1);
    const whole = bytesOf(60_000, 1);
    for (const [from, to, goes] of [[0, 8_000, true], [8_000, 16_000, true], [16_000, 60_000, false]] as const) {
      expect(out.flow.write(whole, from, to)).toBe(goes);
      left.link.output.flush();
    }
    expect(left.socket.sent.reduce((sum, piece) => sum + piece.length, 0)).toBeLessThan(17_000);
    exchangeBytes(left, right);
    expect(right.open.get(1)?.bytes.equals(whole)).toBe(true);
  });
});

/** A frame as bytes. */
function frame(kind: number, stream: number, payload: Buffer): Buffer {
  const head = Buffer.alloc(8);
  head.writeUIntBE(payload.length, 0, 3);
  head[3] = kind;
  head.writeUInt32BE(stream, 4);
  return Buffer.concat([head, payload]);
}

function feed(side: FakeSide, ...frames: readonly Buffer[]): void {
  const bytes = Buffer.concat(frames);
  side.link.read(bytes, 0, bytes.length);
}

describe("a peer that breaks the rules", () => {
  const word = Buffer.from([0, 0, 0, 1]);

  test.each([
    ["says nothing of itself first", [frame(frameKinds.request, 1, Buffer.alloc(20))], "protocol"],
    ["says it twice", [frame(frameKinds.settings, 0, Buffer.alloc(7)), frame(frameKinds.settings, 0, Buffer.alloc(7))], "protocol"],
    ["sends short settings", [frame(frameKinds.settings, 0, Buffer.alloc(3))], "protocol"],
    ["sends a name that is not there", [frame(frameKinds.settings, 0, Buffer.from([0, 1, 0, 0, 0, 9, 200]))], "protocol"],
  ] as const)("%s", (_what, frames, fault) => {
    const side = new FakeSide(small);
    feed(side, ...frames);
    expect(side.faults).toEqual([fault]);
    expect(side.socket.destroyed).toBe(true);
  });

  test.each([
    ["sends more of a body than it may", [frame(frameKinds.data, 1, Buffer.alloc(401))], "flow_control"],
    ["sends more in all than it may", Array.from({ length: 11 }, (_, at) => frame(frameKinds.data, at + 2, Buffer.alloc(100))), "flow_control"],
    ["allows more than there is", [frame(frameKinds.window, 0, Buffer.from([0x7f, 0xff, 0xff, 0xff])), frame(frameKinds.window, 0, Buffer.from([0x7f, 0xff, 0xff, 0xff]))], "flow_control"],
    ["allows too much on a stream", [frame(frameKinds.window, 1, Buffer.from([0xff, 0xff, 0xff, 0xff]))], "flow_control"],
    ["sends a window without a number", [frame(frameKinds.window, 0, Buffer.alloc(2))], "protocol"],
    ["sends a ping without a nonce", [frame(frameKinds.ping, 0, Buffer.alloc(2))], "protocol"],
    ["sends a head beyond all bounds", [frame(frameKinds.request, 1, Buffer.alloc(100_000))], "oversized"],
    ["floods pings", Array.from({ length: 10_001 }, () => frame(frameKinds.ping, 0, Buffer.alloc(8))), "flood"],
    ["floods resets", Array.from({ length: 10_001 }, () => frame(frameKinds.reset, 7, Buffer.alloc(1))), "flood"],
    ["floods windows", Array.from({ length: 10_001 }, () => frame(frameKinds.window, 7, word)), "flood"],
    ["floods empty data", Array.from({ length: 10_001 }, () => frame(frameKinds.data, 7, Buffer.alloc(0))), "flood"],
    ["floods tiny data", Array.from({ length: 10_300 }, () => frame(frameKinds.data, 7, Buffer.alloc(1))), "flood"],
    ["floods kinds that nobody knows", Array.from({ length: 10_001 }, () => frame(99, 0, Buffer.alloc(0))), "flood"],
  ] as const)("%s", (_what, frames, fault) => {
    const [, side] = pair({ ...small, connectionWindowMin: 1_000, heldBytesMax: 500 });
    side.stream(1).flow.pause();
    for (let id = 2; id < 20; id++) if (id !== 7) side.stream(id).flow.pause();
    feed(side, ...frames);
    expect(side.faults).toEqual([fault]);
    expect(side.socket.destroyed).toBe(true);
  });

  test("is understood in what a later version may add", () => {
    const [, side] = pair();
    feed(side, frame(99, 5, Buffer.alloc(50)), frame(frameKinds.ping, 0, Buffer.alloc(30)), frame(frameKinds.window, 0, Buffer.alloc(9)));
    expect(side.faults).toEqual([]);
  });

  test("meets no error of ours, whatever the bytes", () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 100 }), { maxLength: 20 }), (pieces) => {
        const [, side] = pair();
        side.stream(1);
        for (const piece of pieces) side.link.read(Buffer.from(piece), 0, piece.length);
      }),
    );
  });
});

describe("what is put out", () => {
  test("leaves in one write for each turn, and its buffer is used again only after its write has ended", () => {
    const socket = new FakeSocket();
    const output = new FrameOutput(socket as never, () => undefined);
    const put = (text: string): void => {
      output.begin(frameKinds.request, true, 1, text.length);
      output.putText(text);
    };
    put("first");
    put("second");
    output.flush();
    put("third");
    output.flush();
    expect(socket.sent).toHaveLength(2);
    const wire = socket.take().toString("latin1");
    expect(wire).toContain("first");
    expect(wire.indexOf("second")).toBeGreaterThan(wire.indexOf("first"));
    expect(wire).toContain("third");
    put("x".repeat(100_000));
    output.flush();
    expect(socket.take()).toHaveLength(100_008);
  });
});
