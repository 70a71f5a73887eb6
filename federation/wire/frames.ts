import { AtollError } from "#federation/runtime/errors.ts";
import type { SignedObject } from "#federation/model/replicated-object.ts";
import { bucketCount, digestsBytes, frameBytesMax, frameEntriesMax } from "#federation/model/replication-messages.ts";
import type { Acknowledgement, FetchAnswer, FetchRequest, Frame, Heartbeat, LinkNames, StreamPosition } from "#federation/model/replication-messages.ts";
import { noStaleOrigins, staleOriginsMax, type StaleOrigins } from "#federation/model/stale-origins.ts";
import { certificatesMax, controlMessageBytesMax, refusedObjectsMax, witnessBytesMax } from "./limits.ts";
import { boundedList, boundedText, certificateList, copied, exactNumber, messageCodec } from "./schema.ts";
import { mapSignedObject, signBytes, verifyBytes } from "./signed-object.ts";
import type { ObjectSigner, VerifyChain } from "./signed-object.ts";

/** The version that this program writes. It reads this one and the one before. */
export const frameVersion = 1;

interface Versioned {
  readonly version: number;
}

const frameCodec = messageCodec<Frame & Versioned>("atoll.frame.v1.Frame", frameBytesMax);
const heartbeatCodec = messageCodec<SignedObject>("atoll.frame.v1.Heartbeat", controlMessageBytesMax);
const heartbeatPayloadCodec = messageCodec<RawHeartbeat & Versioned>("atoll.frame.v1.HeartbeatPayload", controlMessageBytesMax);
interface RawHeartbeat extends Omit<Heartbeat, "staleOrigins"> {
  readonly staleOrigins: readonly { readonly origin: string; readonly ageMs?: number }[];
  readonly unnamedAgeMs: number;
}
const fetchRequestCodec = messageCodec<{ digests: Uint8Array; contentDigests?: Uint8Array | undefined; answer: string; part: number } & Versioned>(
  "atoll.frame.v1.FetchRequest",
  controlMessageBytesMax,
);
const fetchAnswerCodec = messageCodec<FetchAnswer & Versioned>("atoll.frame.v1.FetchAnswer", frameBytesMax);
const acknowledgementCodec = messageCodec<Acknowledgement & Versioned>("atoll.frame.v1.Acknowledgement", controlMessageBytesMax);

/** @throws {ATOLL_WIRE_TOO_LARGE} above `frameBytesMax`: the publisher's core sees to it that this does not happen. */
export function encodeFrame(frame: Frame): Uint8Array {
  return withinFrame(frameCodec.encode({ version: frameVersion, ...frame }), "frame");
}

/** @throws {ATOLL_WIRE_INVALID | ATOLL_WIRE_TOO_LARGE | ATOLL_WIRE_VERSION} */
export function decodeFrame(bytes: Uint8Array): Frame {
  const raw = current(frameCodec.decode(bytes));
  boundedList(raw.entries, frameEntriesMax, "entries of a frame");
  return {
    ...linkOf(raw),
    ...positionOf(raw),
    ...revisionOf(raw.revision),
    entries: raw.entries.map((entry) => mapSignedObject(entry)),
    withdrawn: boundedList(raw.withdrawn, frameEntriesMax, "withdrawals of a frame").map((id) => boundedText(id, "the id of an object")),
  };
}

const heartbeatContext = "atoll-heartbeat-v1";

/** Signs and encodes a heartbeat. */
export function encodeHeartbeat(heartbeat: Heartbeat, signer: ObjectSigner): Uint8Array {
  const payload = heartbeatPayloadCodec.encode({ version: frameVersion, ...heartbeat, ...staleFields(heartbeat.staleOrigins ?? noStaleOrigins) });
  return heartbeatCodec.encode({ payload, signature: signBytes(heartbeatContext, payload, signer.privateKey), chain: signer.chain });
}

/** Reads and verifies a heartbeat. @throws {ATOLL_WIRE_INVALID | ATOLL_WIRE_TOO_LARGE | ATOLL_WIRE_VERSION | ATOLL_SIGNATURE_INVALID} and what `verifyChain` throws. */
export function decodeHeartbeat(bytes: Uint8Array, verifyChain: VerifyChain): Heartbeat {
  const signed = heartbeatCodec.decode(bytes);
  const raw = current(heartbeatPayloadCodec.decode(signed.payload));
  const heartbeat: Heartbeat = {
    ...linkOf(raw),
    ...positionOf(raw),
    publisherTrustDomain: boundedText(raw.publisherTrustDomain, "the trust domain of a heartbeat"),
    digests: digestsOf(raw.digests),
    ...contentDigestsOf(raw.contentDigests),
    ...revisionOf(raw.revision),
    nonce: copied(raw.nonce),
    sentAtMs: exactNumber(raw.sentAtMs, "the time of a heartbeat"),
    beat: exactNumber(raw.beat, "the number of a heartbeat"),
    ...incarnationOf(raw),
    ...historyOf(raw),
    ...staleOriginsIn(raw),
  };
  const { federation, publisher, publisherTrustDomain } = heartbeat;
  const chain = certificateList(signed.chain, certificatesMax, "certificates of a signing chain");
  if (chain.length === 0) throw new AtollError("ATOLL_WIRE_INVALID", "a heartbeat without a chain");
  verifyBytes(heartbeatContext, signed.payload, signed.signature, verifyChain(chain, { federation, origin: publisher, trustDomain: publisherTrustDomain }));
  return heartbeat;
}

export function encodeFetchRequest(request: FetchRequest): Uint8Array {
  const none = { digests: new Uint8Array(0), answer: "", part: 0 };
  return fetchRequestCodec.encode({ version: frameVersion, ...none, ...request });
}

/** @throws {ATOLL_WIRE_INVALID | ATOLL_WIRE_TOO_LARGE | ATOLL_WIRE_VERSION} */
export function decodeFetchRequest(bytes: Uint8Array): FetchRequest {
  const { digests, contentDigests, answer, part } = current(fetchRequestCodec.decode(bytes));
  if (answer === "") return { kind: "differing", digests: digestsOf(digests), ...contentDigestsOf(contentDigests) };
  return { kind: "part", answer: boundedText(answer, "the id of an answer"), part };
}

/** @throws {ATOLL_WIRE_TOO_LARGE} above `frameBytesMax`: the publisher's core sees to it that this does not happen. */
export function encodeFetchAnswer(answer: FetchAnswer): Uint8Array {
  return withinFrame(fetchAnswerCodec.encode({ version: frameVersion, ...answer }), "fetch answer");
}

/** @throws {ATOLL_WIRE_INVALID | ATOLL_WIRE_TOO_LARGE | ATOLL_WIRE_VERSION} */
export function decodeFetchAnswer(bytes: Uint8Array): FetchAnswer {
  const raw = current(fetchAnswerCodec.decode(bytes));
  if (raw.buckets.length > bucketCount) throw new AtollError("ATOLL_WIRE_TOO_LARGE", `an answer about more than ${bucketCount} buckets`);
  boundedList(raw.entries, frameEntriesMax, "entries of an answer");
  return {
    ...linkOf(raw),
    ...positionOf(raw),
    revision: exactNumber(raw.revision, "a revision"),
    buckets: copied(raw.buckets),
    answer: raw.answer,
    part: raw.part,
    parts: raw.parts,
    entries: raw.entries.map((entry) => mapSignedObject(entry)),
  };
}

export function encodeAcknowledgement(acknowledgement: Acknowledgement): Uint8Array {
  return acknowledgementCodec.encode({ version: frameVersion, ...acknowledgement });
}

/** @throws {ATOLL_WIRE_INVALID | ATOLL_WIRE_TOO_LARGE | ATOLL_WIRE_VERSION} */
export function decodeAcknowledgement(bytes: Uint8Array): Acknowledgement {
  const raw = current(acknowledgementCodec.decode(bytes));
  return {
    receiver: boundedText(raw.receiver, "the receiver of an acknowledgement"),
    stream: boundedText(raw.stream, "a stream"),
    seq: exactNumber(raw.seq, "a sequence number"),
    appliedAtMs: exactNumber(raw.appliedAtMs, "the time of an acknowledgement"),
    refused: boundedList(raw.refused, refusedObjectsMax, "refused objects").map(({ id, reason }) => ({ id: boundedText(id, "the id of an object"), reason: boundedText(reason, "the reason of a refusal") })),
    refusedKinds: boundedList(raw.refusedKinds, refusedObjectsMax, "refused kinds").map((kind) => boundedText(kind, "a kind")),
    mayRefuseMore: raw.mayRefuseMore,
    needsReconcile: raw.needsReconcile,
    ...shownHeartbeat("witness", raw.witness),
    ...shownHeartbeat("rival", raw.rival),
    takes: boundedList(raw.takes ?? [], refusedObjectsMax, "taken kinds").map((kind) => boundedText(kind, "a kind")),
  };
}

function current<Raw extends Versioned>(raw: Raw): Raw {
  // Version 0 was never written, so the one before 1 does not exist; the next program reads 1 and 2.
  if (raw.version !== frameVersion) throw new AtollError("ATOLL_WIRE_VERSION", `a message of version ${raw.version}, this program reads ${frameVersion}`);
  return raw;
}

function linkOf(raw: LinkNames): LinkNames {
  return {
    federation: boundedText(raw.federation, "the federation"),
    publisher: boundedText(raw.publisher, "the publisher"),
    audience: boundedText(raw.audience, "the audience"),
  };
}

function positionOf(raw: StreamPosition): StreamPosition {
  return {
    epoch: exactNumber(raw.epoch, "an epoch"),
    term: exactNumber(raw.term, "a term"),
    stream: boundedText(raw.stream, "a stream"),
    seq: exactNumber(raw.seq, "a sequence number"),
  };
}

function digestsOf(bytes: Uint8Array): Uint8Array {
  if (bytes.length !== digestsBytes) throw new AtollError("ATOLL_WIRE_INVALID", `digests take ${digestsBytes} bytes, not ${bytes.length}`);
  return copied(bytes);
}

function contentDigestsOf(bytes: Uint8Array | undefined): { readonly contentDigests?: Uint8Array } {
  return bytes === undefined || bytes.length === 0 ? {} : { contentDigests: digestsOf(bytes) };
}

function revisionOf(revision: number | undefined): { readonly revision?: number } {
  return revision === undefined ? {} : { revision: exactNumber(revision, "a revision") };
}

function shownHeartbeat<Field extends string>(field: Field, bytes: Uint8Array | undefined): { readonly [field in Field]?: Uint8Array } {
  if (bytes === undefined || bytes.length === 0) return {};
  if (bytes.length > witnessBytesMax) throw new AtollError("ATOLL_WIRE_TOO_LARGE", `a ${field} of ${bytes.length} bytes, at most ${witnessBytesMax} are read`);
  return { [field]: copied(bytes) } as { readonly [field in Field]?: Uint8Array };
}

function staleFields({ named, unnamedAgeMs }: StaleOrigins): Pick<RawHeartbeat, "staleOrigins" | "unnamedAgeMs"> {
  return { staleOrigins: Array.from(named, ([origin, ageMs]) => ({ origin, ...(ageMs === undefined ? {} : { ageMs: Math.floor(ageMs) }) })), unnamedAgeMs: Math.floor(unnamedAgeMs) };
}

function staleOriginsIn({ staleOrigins, unnamedAgeMs }: RawHeartbeat): Pick<Heartbeat, "staleOrigins"> {
  if (staleOrigins.length === 0) return {};
  const named = boundedList(staleOrigins, staleOriginsMax, "stale origins").map(({ origin, ageMs }) => [boundedText(origin, "an origin"), ageMs === undefined ? undefined : exactNumber(ageMs, "the age of an origin")] as const);
  return { staleOrigins: { named: new Map(named), unnamedAgeMs: exactNumber(unnamedAgeMs, "the age of origins") } };
}

function incarnationOf({ incarnation = "", echo = new Uint8Array(0) }: RawHeartbeat): Pick<Heartbeat, "incarnation" | "echo"> {
  return { ...(incarnation === "" ? {} : { incarnation: boundedText(incarnation, "the incarnation") }), ...(echo.length === 0 ? {} : { echo: copied(echo) }) };
}

function historyOf({ opened, written }: RawHeartbeat): Pick<Heartbeat, "opened" | "written"> {
  if (opened === undefined || written === undefined) return {};
  return { opened: exactNumber(opened, "a position that was taken up"), written: exactNumber(written, "a position that was written") };
}

function withinFrame(bytes: Uint8Array, what: string): Uint8Array {
  if (bytes.length > frameBytesMax) throw new AtollError("ATOLL_WIRE_TOO_LARGE", `a ${what} of ${bytes.length} bytes, at most ${frameBytesMax} are sent`);
  return bytes;
}
