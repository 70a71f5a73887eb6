import { z } from "zod";
import { attestationLimits } from "#federation/model/attestation.ts";
import { isCidr } from "#federation/model/cidr.ts";
import type { EndpointRecord } from "#federation/model/endpoint.ts";
import { joinPurposeSchema } from "#federation/model/parse/join-purpose-schema.ts";
import { readStoredResource } from "#federation/model/parse/parse-resource.ts";
import { ipAddressSchema, labelSchema, portSchema, sha256Schema, spiffeIdSchema } from "#federation/model/parse/name-schemas.ts";
import { provisioningLimits } from "#federation/model/provisioning-token.ts";
import { proxyNameMax, stopCauses, type AppliedPosition, type AttestationRecord, type DeletionRecord, type EpochRecord, type HeartbeatRecord, type JoinTokenRecord, type MarkRecord, type ObjectRecord, type PolicyTellingRecord, type ProvisioningIndexRecord, type ProvisioningTokenRecord, type ProxyRecord, type RestoredRecord } from "./records.ts";
import { jsonCodec } from "./json-codec.ts";
import type { Codec } from "./store-collection.ts";

const count = z.int().min(0);

const endpointSchema: z.ZodType<EndpointRecord> = z.object({
  instanceId: labelSchema,
  identity: spiffeIdSchema,
  ports: z.array(z.object({ namespace: labelSchema, service: labelSchema, port: portSchema })).max(256),
  address: ipAddressSchema,
  inboundPort: portSchema,
  zone: z.exactOptional(labelSchema),
  weight: z.int().min(1).max(65_535),
  ready: z.boolean(),
  registeredAtMs: count,
});

const joinTokenSchema: z.ZodType<JoinTokenRecord> = z.object({
  id: labelSchema,
  secretSha256: sha256Schema,
  purpose: joinPurposeSchema,
  createdAtMs: count,
  expiresAtMs: count,
});

const provisioningTokenSchema: z.ZodType<ProvisioningTokenRecord> = z.object({
  id: labelSchema,
  secretSha256: sha256Schema,
  purpose: joinPurposeSchema,
  usesMax: z.int().min(1).max(provisioningLimits.usesMax),
  uses: z.array(z.object({ keySha256: sha256Schema, address: z.string().max(64), atMs: count })).max(provisioningLimits.usesMax),
  cidrs: z.array(z.string().max(64).refine(isCidr)).max(provisioningLimits.cidrsMax),
  createdAtMs: count,
  expiresAtMs: count,
  isRevoked: z.boolean(),
});

const provisioningIndexSchema: z.ZodType<ProvisioningIndexRecord> = z.object({ expiresAtMs: z.record(labelSchema, count), madeAtMs: count });

const attestationSchema: z.ZodType<AttestationRecord> = z.object({
  documentSha256: sha256Schema,
  keySha256: sha256Schema,
  source: labelSchema,
  subject: z.string().max(4 * attestationLimits.factLength),
  address: z.string().max(64),
  usedAtMs: count,
  rememberUntilMs: count,
});

const positionSchema: z.ZodType<AppliedPosition> = z.object({
  publisher: labelSchema,
  epoch: count,
  term: count,
  stream: z.string().max(128),
  seq: count,
  floorEpoch: count,
  floorRevision: count,
  appliedAtMs: count,
  behindEpoch: z.exactOptional(count),
  behindSinceMs: z.exactOptional(count),
  isHoldingBack: z.exactOptional(z.literal(true)),
});

const heartbeatSchema = z.object({
  publisher: labelSchema,
  epoch: count,
  term: count,
  stream: z.string().max(128),
  seq: count,
  beat: count,
  revision: count,
  sentAtMs: count,
  incarnation: z.exactOptional(z.string().max(256)),
  written: z.exactOptional(count),
  heartbeat: z.base64(),
});

const objectSchema = z.object({
  origin: labelSchema,
  kind: z.string().regex(/^[A-Za-z]{1,63}$/),
  key: z.string().regex(/^[A-Za-z0-9._/-]{1,512}$/),
  epoch: count,
  revision: count,
  audience: z.array(z.string().max(256)).max(512),
  tombstone: z.boolean(),
  signed: z.base64(),
  appliedAtMs: count,
});

const epochSchema: z.ZodType<EpochRecord> = z.object({ epoch: count, startedAtMs: count, restoredFromMs: z.exactOptional(count) });

const restoredSchema: z.ZodType<RestoredRecord> = z.object({ epoch: count, revision: count });

const markSchema: z.ZodType<MarkRecord> = z.object({ mark: z.string().max(64), writtenAtMs: count });

const deletionSchema: z.ZodType<DeletionRecord> = z.object({ kind: z.string().min(1).max(63), id: z.string().min(1).max(512), deletedAtMs: count });

const proxySchema: z.ZodType<ProxyRecord> = z.object({ name: z.string().min(1).max(proxyNameMax), identity: spiffeIdSchema, kind: z.enum(["workload", "gateway"]), silentSinceMs: z.exactOptional(count) });

const toldPolicyShape = {
  // As the resource was stored: by a later version perhaps, with fields that this one does not know.
  policy: z.unknown().transform((value) => readStoredResource("TrafficPolicy", value)),
  generation: z.exactOptional(z.object({ epoch: count, revision: count })),
};

const policyTellingSchema: z.ZodType<PolicyTellingRecord> = z.object({
  told: z.exactOptional(z.object(toldPolicyShape)),
  stopped: z.exactOptional(z.object({ ...toldPolicyShape, proxy: z.string(), cause: z.enum(stopCauses), reason: z.string(), atMs: count })),
});

const signedObjects = jsonCodec("a signed object", objectSchema);
const heartbeats = jsonCodec("a heartbeat", heartbeatSchema);

/** Codecs of the records that are not resources. */
export const recordCodecs = {
  endpoint: jsonCodec("an endpoint", endpointSchema),
  joinToken: jsonCodec("a join token", joinTokenSchema),
  provisioningToken: jsonCodec("a provisioning token", provisioningTokenSchema),
  provisioningIndex: jsonCodec("the list of provisioning tokens", provisioningIndexSchema),
  attestation: jsonCodec("the use of an attested document", attestationSchema),
  position: jsonCodec("an applied position", positionSchema),
  epoch: jsonCodec("an epoch", epochSchema),
  restored: jsonCodec("a restored position", restoredSchema),
  mark: jsonCodec("a mark", markSchema),
  deletion: jsonCodec("a deletion", deletionSchema),
  policyTelling: jsonCodec("what proxies are told of a policy", policyTellingSchema),
  proxy: jsonCodec("a proxy of a cluster", proxySchema),
  object: {
    encode: (record) => signedObjects.encode({ ...record, audience: [...record.audience], signed: Buffer.from(record.signed).toString("base64") }),
    decode(bytes, id, revision) {
      const record = signedObjects.decode(bytes, id, revision);
      return { ...record, signed: new Uint8Array(Buffer.from(record.signed, "base64")) };
    },
  } satisfies Codec<ObjectRecord>,
  heartbeat: {
    encode: (record) => heartbeats.encode({ ...record, heartbeat: Buffer.from(record.heartbeat).toString("base64") }),
    decode(bytes, id, revision) {
      const record = heartbeats.decode(bytes, id, revision);
      return { ...record, heartbeat: new Uint8Array(Buffer.from(record.heartbeat, "base64")) };
    },
  } satisfies Codec<HeartbeatRecord>,
} as const;
