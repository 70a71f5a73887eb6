import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { FrameReader } from "./frame-reader.ts";
import { endFlag, frameHeadBytes, frameKinds } from "./frames.ts";

interface Frame {
  readonly kind: number;
  readonly end: boolean;
  readonly stream: number;
  readonly payload: Buffer;
}

function encode({ kind, end, stream, payload }: Frame): Buffer {
  const head = Buffer.alloc(frameHeadBytes);
  head.writeUIntBE(payload.length, 0, 3);
  head[3] = end ? kind | endFlag : kind;
  head.writeUInt32BE(stream, 4);
  return Buffer.concat([head, payload]);
}

/** Reads `pieces` one after the other, each from a buffer that is spoiled afterwards, as a socket's is. */
function read(pieces: readonly Buffer[], payloadMax = 1_000): { readonly frames: Frame[]; readonly oversized: number[] } {
  const frames: Frame[] = [];
  const oversized: number[] = [];
  let data: Buffer[] = [];
  const reader = new FrameReader(
    {
      onFrame: (kind, end, stream, buffer, from, to) => frames.push({ kind, end, stream, payload: Buffer.from(buffer.subarray(from, to)) }),
      onData: (stream, buffer, from, to, isLast, end) => {
        data.push(Buffer.from(buffer.subarray(from, to)));
        if (!isLast) return;
        frames.push({ kind: frameKinds.data, end, stream, payload: Buffer.concat(data) });
        data = [];
      },
      onOversized: (kind) => oversized.push(kind),
    },
    payloadMax,
  );
  for (const piece of pieces) {
    const lent = Buffer.concat([Buffer.from([1, 2, 3]), piece]);
    reader.read(lent, 3, lent.length);
    lent.fill(0xff);
  }
  return { frames, oversized };
}

function split(bytes: Buffer, cuts: readonly number[]): Buffer[] {
  const at = [...new Set(cuts.map((cut) => cut % (bytes.length + 1)))].sort((left, right) => left - right);
  return [0, ...at].map((from, index) => bytes.subarray(from, at[index] ?? bytes.length));
}

const anyFrame = fc.record({
  kind: fc.constantFrom(...Object.values(frameKinds), 77),
  end: fc.boolean(),
  stream: fc.nat(0x7fff_ffff),
  payload: fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes)),
});

describe("the reader of frames", () => {
  test("reads the same frames however the bytes are split", () => {
    fc.assert(
      fc.property(fc.array(anyFrame, { maxLength: 12 }), fc.array(fc.nat(), { maxLength: 40 }), (frames, cuts) => {
        const bytes = Buffer.concat(frames.map(encode));
        expect(read(split(bytes, cuts)).frames).toEqual(frames);
        expect(read(Array.from(bytes, (_, at) => bytes.subarray(at, at + 1))).frames).toEqual(frames);
      }),
    );
  });

  test("gathers no frame beyond its bound, and reads nothing after one", () => {
    const large = encode({ kind: frameKinds.request, end: true, stream: 1, payload: Buffer.alloc(1_001) });
    const next = encode({ kind: frameKinds.ping, end: false, stream: 0, payload: Buffer.alloc(8) });
    for (const cut of [3, 8, 400]) {
      expect(read(split(Buffer.concat([large, next]), [cut]))).toEqual({ frames: [], oversized: [frameKinds.request] });
    }
  });

  test("passes DATA of any length on in pieces", () => {
    const payload = Buffer.alloc(5_000, 7);
    const bytes = encode({ kind: frameKinds.data, end: true, stream: 9, payload });
    expect(read(split(bytes, [5, 100, 4_000])).frames).toEqual([{ kind: frameKinds.data, end: true, stream: 9, payload }]);
  });

  test("takes any bytes without an error of its own", () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 200 }), { maxLength: 20 }), (pieces) => {
        read(pieces.map((piece) => Buffer.from(piece)));
      }),
    );
  });
});
