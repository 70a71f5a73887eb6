import { describe, expect, it } from "vitest";
import type { FetchAnswer, Frame, Heartbeat } from "#federation/model/replication-messages.ts";
import {
  decodeAcknowledgement,
  decodeFetchAnswer,
  decodeFetchRequest,
  decodeFrame,
  decodeHeartbeat,
  encodeAcknowledgement,
  encodeFetchAnswer,
  encodeFetchRequest,
  encodeFrame,
  encodeHeartbeat,
} from "./frames.ts";
import { decodeSignedObject, encodeSignedObject, openObject, signObject, verifyObject, viewSignedObject } from "./signed-object.ts";
import { TestOrigins } from "./test-origin.ts";

const origins = new TestOrigins();
const link = { federation: "demo.atoll", publisher: "shop-eu", audience: "global", epoch: 3, term: 9, stream: "ab12", seq: 2 ** 40 };
const heartbeat: Heartbeat = { ...link, publisherTrustDomain: "shop-eu.example", digests: new Uint8Array(2048).fill(5), nonce: Uint8Array.of(1, 2), sentAtMs: 1_800_000_000_000, beat: 1 };

describe("signed objects", () => {
  it("verify with the origin's key and come back byte for byte", () => {
    const object = origins.object("shop-eu", "web/catalog", 42);
    const received = decodeSignedObject(encodeSignedObject(object.signed));
    expect(received).toEqual(object.signed);
    expect(verifyObject(received, origins.verifyChain)).toEqual(object);
    expect(openObject(received)).toEqual(object);
  });

  it("are read in place where nothing of them is kept, and are copies of their own everywhere else", () => {
    const { signed } = origins.object("shop-eu", "web/catalog", 42);
    const bytes = new Uint8Array(encodeSignedObject(signed));
    const [seen, held] = [viewSignedObject(bytes), decodeSignedObject(bytes)];
    bytes.fill(0);
    expect(held).toEqual(signed);
    expect(seen).toEqual({ payload: new Uint8Array(signed.payload.length), signature: new Uint8Array(signed.signature.length), chain: signed.chain.map(({ length }) => new Uint8Array(length)) });
  });

  it("are refused after any byte of the payload or signature changed", () => {
    const { signed } = origins.object("shop-eu", "web/catalog", 42);
    for (const field of ["payload", "signature"] as const) {
      for (let index = 0; index < signed[field].length; index++) {
        const bytes = signed[field].slice();
        bytes[index] = (bytes[index] ?? 0) ^ 1;
        expect(() => verifyObject({ ...signed, [field]: bytes }, origins.verifyChain)).toThrowError(
          expect.objectContaining({ code: expect.stringMatching(/^ATOLL_(SIGNATURE_INVALID|WIRE_INVALID)$/) as string }),
        );
      }
    }
  });

  it("are refused from another origin's key", () => {
    const { payload } = origins.object("shop-eu", "web/catalog", 42);
    const forged = signObject(payload, origins.signer("pay-eu"));
    expect(() => verifyObject(forged.signed, origins.verifyChain)).toThrowError(expect.objectContaining({ code: "ATOLL_SIGNATURE_INVALID" }));
  });

  it("are refused as something that was signed for another purpose", () => {
    const bytes = encodeHeartbeat(heartbeat, origins.signer("shop-eu"));
    expect(() => verifyObject(decodeSignedObject(bytes), origins.verifyChain)).toThrowError();
  });

  it("are refused for signing when no frame could carry them", () => {
    expect(() => origins.object("shop-eu", "web/large", 1, { value: new Uint8Array(200 * 1024) })).toThrowError(
      expect.objectContaining({ code: "ATOLL_WIRE_TOO_LARGE" }),
    );
  });
});

describe("frames", () => {
  it("come back as they were", () => {
    const frame: Frame = { ...link, entries: [origins.object("shop-eu", "web/a", 1).signed], withdrawn: ["shop-eu/Note/web/b"] };
    expect(decodeFrame(encodeFrame(frame))).toEqual(frame);
    const answer: FetchAnswer = { ...link, revision: 77, buckets: Uint8Array.of(0, 255), answer: "x", part: 1, parts: 2, entries: frame.entries };
    expect(decodeFetchAnswer(encodeFetchAnswer(answer))).toEqual(answer);
    const acknowledgement = { receiver: "global", stream: "ab12", seq: 5, appliedAtMs: 6, refused: [{ id: "global/Region/eu-west", reason: "signature" }], refusedKinds: ["Drill"], mayRefuseMore: true, needsReconcile: false, takes: ["JwtAuthorities"] };
    expect(decodeAcknowledgement(encodeAcknowledgement(acknowledgement))).toEqual(acknowledgement);
    for (const request of [{ kind: "differing", digests: new Uint8Array(2048) }, { kind: "part", answer: "x", part: 3 }] as const) {
      expect(decodeFetchRequest(encodeFetchRequest(request))).toEqual(request);
    }
  });

  it("of another version are refused by that name", () => {
    const frame = encodeFrame({ ...link, entries: [], withdrawn: [] });
    const version2 = Buffer.concat([frame, Uint8Array.of(0x08, 2)]); // The last occurrence of a field counts.
    expect(() => decodeFrame(version2)).toThrowError(expect.objectContaining({ code: "ATOLL_WIRE_VERSION" }));
  });

  it("above their size are neither sent nor read", () => {
    const entries = Array.from({ length: 3 }, (_, index) => origins.object("shop-eu", `k${index}`, 1, { value: new Uint8Array(100 * 1024) }).signed);
    expect(() => encodeFrame({ ...link, entries, withdrawn: [] })).toThrowError(expect.objectContaining({ code: "ATOLL_WIRE_TOO_LARGE" }));
    expect(() => decodeFrame(new Uint8Array(300 * 1024))).toThrowError(expect.objectContaining({ code: "ATOLL_WIRE_TOO_LARGE" }));
  });

  it("with a position that no number holds exactly are refused", () => {
    const seqOf2To60 = Uint8Array.of(0x38, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x10);
    const frame = Buffer.concat([encodeFrame({ ...link, entries: [], withdrawn: [] }), seqOf2To60]);
    expect(() => decodeFrame(frame)).toThrowError(expect.objectContaining({ code: "ATOLL_WIRE_INVALID" }));
  });
});

describe("fields that older versions do not write", () => {
  it("come back where they are, and are absent where they are not", () => {
    const contentDigests = new Uint8Array(2048).fill(7);
    const request = { kind: "differing", digests: new Uint8Array(2048), contentDigests } as const;
    expect(decodeFetchRequest(encodeFetchRequest(request))).toEqual(request);
    const whole: Heartbeat = { ...heartbeat, contentDigests, revision: 0, incarnation: "host-1a2b3c4d", echo: Uint8Array.of(3, 4), staleOrigins: { named: new Map([["shop-us", 90_000], ["pay-eu", undefined]]), unnamedAgeMs: 5 } };
    expect(decodeHeartbeat(encodeHeartbeat(whole, origins.signer("shop-eu")), origins.verifyChain)).toEqual(whole);
    const plain = decodeHeartbeat(encodeHeartbeat(heartbeat, origins.signer("shop-eu")), origins.verifyChain);
    expect(plain).not.toHaveProperty("revision");
    for (const field of ["contentDigests", "incarnation", "echo", "staleOrigins"]) expect(plain).not.toHaveProperty(field);
    const frame: Frame = { ...link, revision: 12, entries: [], withdrawn: ["shop-eu/Note/web/b"] };
    expect(decodeFrame(encodeFrame(frame))).toEqual(frame);
  });

  it("are refused when they are not what they should be", () => {
    const request = encodeFetchRequest({ kind: "differing", digests: new Uint8Array(2048), contentDigests: new Uint8Array(7) });
    expect(() => decodeFetchRequest(request)).toThrowError(expect.objectContaining({ code: "ATOLL_WIRE_INVALID" }));
    const ack = { receiver: "global", stream: "ab12", seq: 5, appliedAtMs: 6, refused: [], refusedKinds: [], mayRefuseMore: false, needsReconcile: true, takes: [] };
    const witness = new Uint8Array(9);
    expect(decodeAcknowledgement(encodeAcknowledgement({ ...ack, witness }))).toEqual({ ...ack, witness });
    expect(decodeAcknowledgement(encodeAcknowledgement({ ...ack, rival: witness }))).toEqual({ ...ack, rival: witness });
    expect(() => decodeAcknowledgement(encodeAcknowledgement({ ...ack, rival: new Uint8Array(15 * 1024) }))).toThrowError(expect.objectContaining({ code: "ATOLL_WIRE_TOO_LARGE" }));
    expect(() => decodeAcknowledgement(encodeAcknowledgement({ ...ack, witness: new Uint8Array(15 * 1024) }))).toThrowError(expect.objectContaining({ code: "ATOLL_WIRE_TOO_LARGE" }));
  });
});

describe("heartbeats", () => {
  it("verify with the publisher's key, and with no other", () => {
    expect(decodeHeartbeat(encodeHeartbeat(heartbeat, origins.signer("shop-eu")), origins.verifyChain)).toEqual(heartbeat);
    expect(() => decodeHeartbeat(encodeHeartbeat(heartbeat, origins.signer("pay-eu")), origins.verifyChain)).toThrowError(
      expect.objectContaining({ code: "ATOLL_SIGNATURE_INVALID" }),
    );
  });
});
