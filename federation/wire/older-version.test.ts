import { readdirSync, readFileSync } from "node:fs";
import protobuf from "protobufjs";
import { describe, expect, it } from "vitest";
import type { FetchAnswer, Frame, Heartbeat } from "#federation/model/replication-messages.ts";
import { decodeAcknowledgement, decodeFetchAnswer, decodeFetchRequest, decodeFrame, decodeHeartbeat, encodeAcknowledgement, encodeFetchAnswer, encodeFetchRequest, encodeFrame, encodeHeartbeat } from "./frames.ts";
import { signBytes } from "./signed-object.ts";
import { TestOrigins } from "./test-origin.ts";
import { sessionReportCodec } from "./workload-messages.ts";

function schemasIn(folder: string): protobuf.Root {
  const root = new protobuf.Root();
  const directory = new URL(`${folder}/`, import.meta.url);
  for (const file of readdirSync(directory)) protobuf.parse(readFileSync(new URL(file, directory), "utf8"), root);
  root.addJSON(protobuf.common.get("google/protobuf/struct.proto")?.nested ?? {});
  root.resolveAll();
  return root;
}

function typesOf(namespace: protobuf.NamespaceBase): readonly protobuf.Type[] {
  return namespace.nestedArray.flatMap((one) => [...(one instanceof protobuf.Type ? [one] : []), ...(one instanceof protobuf.Namespace ? typesOf(one) : [])]);
}

const older = schemasIn("older");
const origins = new TestOrigins();
const link = { federation: "demo.atoll", publisher: "shop-eu", audience: "global", epoch: 3, term: 9, stream: "ab12", seq: 7 };
const { signed } = origins.object("shop-eu", "web/a", 1);

/** A message as the version before writes it, with all that it knows. */
function writtenBefore(name: string, fields: object): Uint8Array {
  return older.lookupType(name).encode({ version: 1, ...fields }).finish();
}

/** What the version before reads of a message of ours. */
function readBefore(name: string, bytes: Uint8Array): Readonly<Record<string, unknown>> {
  const type = older.lookupType(name);
  return type.toObject(type.decode(bytes), { longs: Number, arrays: true, defaults: true });
}

describe("the version before", () => {
  it("finds every field of its own where it was, and as it was", () => {
    const present = schemasIn("proto");
    for (const type of typesOf(older)) {
      const now = present.lookupType(type.fullName.slice(1));
      for (const { name, id, type: kind, repeated } of type.fieldsArray) {
        const field = now.fields[name];
        expect([type.fullName, name, field?.id, field?.type, field?.repeated]).toEqual([type.fullName, name, id, kind, repeated]);
      }
    }
  });

  it("sends frames and answers that are read as they were meant", () => {
    const frame: Frame = { ...link, entries: [signed], withdrawn: ["shop-eu/Note/web/b"] };
    expect(decodeFrame(writtenBefore("atoll.frame.v1.Frame", frame))).toEqual(frame);
    const answer: FetchAnswer = { ...link, revision: 77, buckets: Uint8Array.of(0, 255), answer: "x", part: 1, parts: 2, entries: [signed] };
    expect(decodeFetchAnswer(writtenBefore("atoll.frame.v1.FetchAnswer", answer))).toEqual(answer);
  });

  it("sends heartbeats that hold no contents, no number and no incarnation, and are believed by their signature", () => {
    const said = { ...link, publisherTrustDomain: "shop-eu.example", digests: new Uint8Array(2048).fill(5), nonce: Uint8Array.of(1, 2), sentAtMs: 1_800_000_000_000 };
    const payload = writtenBefore("atoll.frame.v1.HeartbeatPayload", said);
    const signer = origins.signer("shop-eu");
    const bytes = writtenBefore("atoll.frame.v1.Heartbeat", { payload, signature: signBytes("atoll-heartbeat-v1", payload, signer.privateKey), chain: signer.chain });
    expect(decodeHeartbeat(bytes, origins.verifyChain)).toEqual({ ...said, beat: 0 });
  });

  it("acknowledges without naming what it refuses, and asks by generations alone", () => {
    const acknowledged = { receiver: "global", stream: "ab12", seq: 5, appliedAtMs: 6 };
    expect(decodeAcknowledgement(writtenBefore("atoll.frame.v1.Acknowledgement", acknowledged))).toEqual({ ...acknowledged, refused: [], refusedKinds: [], mayRefuseMore: false, needsReconcile: false, takes: [] });
    const digests = new Uint8Array(2048).fill(9);
    expect(decodeFetchRequest(writtenBefore("atoll.frame.v1.FetchRequest", { digests }))).toEqual({ kind: "differing", digests });
  });

  it("reads what it knows of our messages with every newer field in them", () => {
    const frame: Frame = { ...link, revision: 12, entries: [signed], withdrawn: ["shop-eu/Note/web/b"] };
    const { entries, ...read } = readBefore("atoll.frame.v1.Frame", encodeFrame(frame));
    expect(read).toEqual({ ...link, version: 1, withdrawn: frame.withdrawn });
    expect(entries).toHaveLength(1);
    const heartbeat: Heartbeat = {
      ...link,
      publisherTrustDomain: "shop-eu.example",
      digests: new Uint8Array(2048).fill(5),
      contentDigests: new Uint8Array(2048).fill(6),
      revision: 12,
      nonce: Uint8Array.of(1, 2),
      sentAtMs: 1_800_000_000_000,
      beat: 4,
      incarnation: "host-1",
      echo: Uint8Array.of(3),
    };
    const { payload } = readBefore("atoll.frame.v1.Heartbeat", encodeHeartbeat(heartbeat, origins.signer("shop-eu")));
    const beat = readBefore("atoll.frame.v1.HeartbeatPayload", payload as Uint8Array);
    expect(beat).toMatchObject({ ...link, version: 1, publisherTrustDomain: "shop-eu.example", sentAtMs: heartbeat.sentAtMs });
    expect(Buffer.from(beat["digests"] as Uint8Array).equals(heartbeat.digests)).toBe(true);
    const acknowledgement = { receiver: "global", stream: "ab12", seq: 5, appliedAtMs: 6, refused: [{ id: "global/Region/eu-west", reason: "signature" }], refusedKinds: ["Drill"], mayRefuseMore: true, needsReconcile: true, witness: Uint8Array.of(1), rival: Uint8Array.of(2) };
    expect(readBefore("atoll.frame.v1.Acknowledgement", encodeAcknowledgement(acknowledgement))).toEqual({ version: 1, receiver: "global", stream: "ab12", seq: 5, appliedAtMs: 6 });
    const asked = readBefore("atoll.frame.v1.FetchRequest", encodeFetchRequest({ kind: "differing", digests: new Uint8Array(2048).fill(9), contentDigests: new Uint8Array(2048) }));
    expect(Buffer.from(asked["digests"] as Uint8Array).equals(Buffer.alloc(2048, 9))).toBe(true);
    const answer: FetchAnswer = { ...link, revision: 77, buckets: Uint8Array.of(0, 255), answer: "x", part: 1, parts: 2, entries: [] };
    expect(readBefore("atoll.frame.v1.FetchAnswer", encodeFetchAnswer(answer))).toMatchObject({ ...link, version: 1, revision: 77, answer: "x", part: 1, parts: 2 });
  });

  it("reports its instances as before", () => {
    const report = { instanceId: "a-0", ports: [{ namespace: "web", service: "a", port: 80 }], address: "127.0.0.1", inboundPort: 15_006, zone: "", weight: 1, ready: true, draining: false };
    const { version: _, ...fields } = readBefore("atoll.workload.v1.SessionReport", sessionReportCodec.encode(report));
    expect(fields).toMatchObject({ ...report, ports: [expect.objectContaining({ namespace: "web", service: "a", port: 80 }) as object] });
    expect(sessionReportCodec.decode(older.lookupType("atoll.workload.v1.SessionReport").encode(report).finish())).toMatchObject(report);
  });
});
