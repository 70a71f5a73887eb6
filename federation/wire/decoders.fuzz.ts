import { fileURLToPath } from "node:url";
import { createBackupKey, parseBackupKey } from "#federation/model/backup-recipient.ts";
import { isAtollError } from "#federation/runtime/errors.ts";
import type { ErrorCode } from "#federation/runtime/error-catalog.ts";
import { createSeededRandom, systemRandom } from "#federation/runtime/random.ts";
import type { Random } from "#federation/runtime/random.ts";
import { decodeBackup, encodeBackup } from "./backup-file.ts";
import { decodeDeltaRequest, decodeDeltaResponse, encodeDeltaRequest, encodeDeltaResponse, encodeResource } from "./discovery-messages.ts";
import { decodeBundle, decodeGatewayRoute, decodeInbound, decodeService, encodeBundle } from "./discovery-resources.ts";
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
import { clusterCredentialsCodec, enrollRequestCodec, renewClusterRequestCodec } from "./signer-messages.ts";
import { decodeSignedObject, encodeSignedObject, openObject } from "./signed-object.ts";
import { TestOrigins } from "./test-origin.ts";
import { identityResponseCodec, joinRequestCodec, keyRenewalRequestCodec, renewRequestCodec, sessionAckCodec, sessionReportCodec } from "./workload-messages.ts";
import { x509BundlesResponseCodec, x509SvidResponseCodec } from "./spiffe-workload.ts";
import { parseTrustDomainName } from "#federation/model/spiffe-id.ts";

/** The codes that a decoder may throw; anything else is a fault. */
const declared: readonly ErrorCode[] = ["ATOLL_WIRE_INVALID", "ATOLL_WIRE_TOO_LARGE", "ATOLL_WIRE_VERSION", "ATOLL_SIGNATURE_INVALID", "ATOLL_BACKUP_INVALID"];

const origins = new TestOrigins();
const object = origins.object("shop-eu", "web/catalog", 3);
const link = { federation: "demo.atoll", publisher: "shop-eu", audience: "global", epoch: 1, term: 1, stream: "s", seq: 1 };
const bundle = { trustDomain: parseTrustDomainName("shop.example"), sequence: 1, refreshHintSeconds: 1, x509Authorities: [Uint8Array.of(48, 0)] };
const bytes = Uint8Array.of(1, 2, 3);
const backup = { head: { federation: "demo.atoll", plane: "global", epoch: 1, revision: 1, madeAtMs: 1 }, entries: [{ key: "k", revision: 1, value: bytes }] };
const backupKey = createBackupKey();
const opener = { kind: "key", privateKey: parseBackupKey(backupKey.privateKeyPem, "the key") } as const;

/** Good messages, from which damaged ones are made. */
const seeds: readonly Uint8Array[] = [
  await encodeBackup(backup),
  await encodeBackup(backup, { kind: "recipients", recipients: [backupKey.recipient] }),
  encodeSignedObject(object.signed),
  object.signed.payload,
  encodeFrame({ ...link, revision: 3, entries: [object.signed], withdrawn: ["a/b/c"] }),
  encodeFetchAnswer({ ...link, revision: 1, buckets: bytes, answer: "a", part: 0, parts: 1, entries: [object.signed] }),
  encodeFetchRequest({ kind: "differing", digests: new Uint8Array(2048), contentDigests: new Uint8Array(2048) }),
  encodeAcknowledgement({ receiver: "global", stream: "s", seq: 1, appliedAtMs: 1, refused: [{ id: "global/Region/a", reason: "signature" }], refusedKinds: ["Drill"], mayRefuseMore: true, needsReconcile: true, witness: bytes }),
  encodeHeartbeat({ ...link, publisherTrustDomain: "shop-eu.example", digests: new Uint8Array(2048), contentDigests: new Uint8Array(2048), revision: 3, nonce: bytes, sentAtMs: 1, beat: 1, incarnation: "host-1a2b3c4d", echo: bytes }, origins.signer("shop-eu")),
  encodeBundle(bundle),
  encodeDeltaRequest({ typeUrl: "t", subscribe: ["a"], unsubscribe: ["b"], initialVersions: { a: "1" }, responseNonce: "n", fault: { code: 3, message: "m", resources: ["a", "b"] } }),
  encodeDeltaResponse({ typeUrl: "t", nonce: "n", systemVersion: "s", resources: [encodeResource({ name: "a", version: "1", typeUrl: "t", value: bytes })], removed: ["b"] }),
  joinRequestCodec.encode({ token: "t", csr: bytes }),
  keyRenewalRequestCodec.encode({ certificateChain: [bytes], csr: bytes, proof: bytes }),
  identityResponseCodec.encode({ certificateChain: [bytes], discoveryAddresses: ["127.0.0.1:7410"], bundles: [bundle] }),
  x509SvidResponseCodec.encode({ svids: [{ spiffeId: "spiffe://shop.example/a", x509Svid: bytes, x509SvidKey: bytes, bundle: bytes, hint: "" }], crl: [bytes], federatedBundles: { "spiffe://pay.example": bytes } }),
  x509BundlesResponseCodec.encode({ crl: [], bundles: { "spiffe://pay.example": bytes } }),
  enrollRequestCodec.encode({ token: "t", cluster: "c", intermediateCsr: bytes, signingCsr: bytes }),
];

const decoders: Readonly<Record<string, (input: Uint8Array) => unknown>> = {
  decodeBackup: (input) => decodeBackup(input, opener),
  decodeSignedObject,
  openObject: (input) => openObject({ payload: input, signature: bytes, chain: [bytes] }),
  decodeFrame,
  decodeFetchAnswer,
  decodeFetchRequest,
  decodeAcknowledgement,
  decodeHeartbeat: (input) => decodeHeartbeat(input, origins.verifyChain),
  decodeService,
  decodeBundle,
  decodeInbound,
  decodeGatewayRoute: (input) => decodeGatewayRoute("sni", input),
  decodeDeltaRequest,
  decodeDeltaResponse,
  x509SvidResponse: x509SvidResponseCodec.decode,
  x509BundlesResponse: x509BundlesResponseCodec.decode,
  joinRequest: joinRequestCodec.decode,
  renewRequest: renewRequestCodec.decode,
  keyRenewalRequest: keyRenewalRequestCodec.decode,
  identityResponse: identityResponseCodec.decode,
  sessionReport: sessionReportCodec.decode,
  sessionAck: sessionAckCodec.decode,
  enrollRequest: enrollRequestCodec.decode,
  renewClusterRequest: renewClusterRequestCodec.decode,
  clusterCredentials: clusterCredentialsCodec.decode,
};

/** Gives every decoder `rounds` damaged messages; throws at the first that answers with anything but a value or a declared code. */
export function fuzzDecoders(seed: number, rounds: number): { readonly accepted: number; readonly refused: number } {
  const random = createSeededRandom(seed);
  let accepted = 0;
  let refused = 0;
  for (let round = 0; round < rounds; round++) {
    const input = damaged(seeds[Math.floor(random.next() * seeds.length)] ?? bytes, random);
    for (const [name, decode] of Object.entries(decoders)) {
      try {
        decode(input);
        accepted++;
      } catch (error) {
        if (!isAtollError(error, ...declared)) {
          throw new Error(`${name} threw no declared code; seed ${seed}, round ${round}, input ${Buffer.from(input).toString("hex")}`, { cause: error });
        }
        refused++;
      }
    }
  }
  return { accepted, refused };
}

function damaged(good: Uint8Array, random: Random): Uint8Array {
  const input = Buffer.from(good);
  const at = (): number => Math.floor(random.next() * input.length);
  switch (Math.floor(random.next() * 5)) {
    case 0:
      return random.bytes(Math.floor(random.next() * 64));
    case 1:
      return input.subarray(0, at());
    case 2:
      return Buffer.concat([input.subarray(0, at()), random.bytes(8), input.subarray(at())]);
    case 3:
      return Buffer.concat([input, input.subarray(at())]);
    default:
      for (let flips = 1 + Math.floor(random.next() * 6); flips > 0; flips--) input[at()] = Math.floor(random.next() * 256);
      return input;
  }
}

// `node federation/wire/decoders.fuzz.ts [rounds] [seed]`
if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const seed = Number(process.argv[3] ?? Math.floor(systemRandom.next() * 2 ** 31));
  const result = fuzzDecoders(seed, Number(process.argv[2] ?? 100_000));
  process.stdout.write(`seed ${seed}: ${result.accepted} accepted, ${result.refused} refused\n`);
}
