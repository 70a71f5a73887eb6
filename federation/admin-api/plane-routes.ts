import { z } from "zod";
import { joinPurposeSchema } from "#federation/model/parse/join-purpose-schema.ts";
import { clusterIdSchema, labelSchema, regionIdSchema, sha256Schema, trustDomainSchema } from "#federation/model/parse/name-schemas.ts";
import { relationshipApprovalSchema, relationshipWithdrawalSchema } from "#federation/model/parse/resource-schemas.ts";
import { isKindOfTrust, type Kind } from "#federation/model/resource.ts";
import { rotationPhases, rotationSteps } from "#federation/model/root-rotation.ts";
import { provisioningRoutes } from "./provisioning-routes.ts";
import { resourceRoutes } from "./resource-routes.ts";
import { rollbackRoutes } from "./rollback-routes.ts";
import { rolloutRoute } from "./rollout-route.ts";
import { storeRoutes } from "./store-routes.ts";
import { withdrawalRoutes } from "./withdrawal-routes.ts";
import { auditEntrySchema } from "./audit.ts";
import { defineRoute, dryRunQuery, type AnyRoute } from "./route.ts";
import { clusterStatusSchema, explanationSchema, federationStatusSchema, simulationSchema } from "./status.ts";

/** Life of a join token: unless told, and at most. */
export const joinTokenSeconds = { usual: 600, max: 600 } as const;

/** Makes a join token; what it may be for depends on the plane. The answer is the only time that the token is seen. */
export const createJoinToken = defineRoute({
  operationId: "createJoinToken",
  method: "POST",
  path: "/api/v1/jointokens",
  summary: "Makes a join token: it works once, and is shown once",
  access: "write",
  body: z.strictObject({ purpose: joinPurposeSchema, lifeSeconds: z.exactOptional(z.int().min(10).max(joinTokenSeconds.max)) }),
  answer: z.object({ id: z.string(), token: z.string(), purpose: joinPurposeSchema, expiresAt: z.string() }),
});

const watchQuery = z.strictObject({ watch: z.exactOptional(z.enum(["true", "false"]).transform((text) => text === "true")) });

/** Entries of one page: unless told, and at most. */
export const auditPageLimits = { usual: 100, max: 1_000 } as const;

/** Who changed what. Names of callers are in it, so that it is for administrators. */
const audit = defineRoute({
  operationId: "listAudit",
  method: "GET",
  path: "/api/v1/audit",
  summary: "The mutations that this plane was asked for, newest first",
  access: "administer",
  query: z.strictObject({
    limit: z.exactOptional(z.coerce.number<string>().int().min(1).max(auditPageLimits.max)),
    before: z.exactOptional(z.coerce.number<string>().int().min(1)).describe("The sequence of the last entry of the page before."),
  }),
  answer: z.object({ entries: z.array(auditEntrySchema), hasMore: z.boolean() }),
});

const relationshipName = z.strictObject({ name: labelSchema });

/** Most names in one list of a query. */
const namesMax = 64;

/** Names in one text, as a query has them. */
function namesOf(name: z.ZodType) {
  return z
    .string()
    .max(namesMax * 64)
    .refine((text) => text.split(",").length <= namesMax && text.split(",").every((part) => name.safeParse(part).success), `1 to ${namesMax} names, separated by commas`);
}

const bundleRowSchema = z.object({
  trustDomain: trustDomainSchema,
  sequence: z.int().min(0),
  from: z.enum(["signer", "globalPlane", "bundleEndpoint"]).describe("Of its own trust domain the signer's word, kept in the plane's files; of others of the federation that of their authorities, brought by the global plane under a relationship; of those outside of it what this plane has fetched or was given with the FederatedTrustDomain."),
  heardAgeMs: z.int().min(0).optional().describe("Since the global plane was last heard. Absent: never, or the bundle did not come through it."),
  document: z.string().describe("A SPIFFE bundle document (JWKS)."),
  proxies: z
    .object({ have: z.int().min(0), lack: z.int().min(0), lacking: z.array(z.string()).describe("The first names of those that lack it."), unsettledMs: z.int().min(0).describe("For so long a plane that has just begun to serve does not know yet who else lacks it.") })
    .optional()
    .describe("Which of the cluster's proxies verify by this bundle or a later one. Absent: the plane is of a version that does not say."),
  intermediate: z
    .object({ rootSha256: sha256Schema, earlierSvidsLeftMs: z.int().min(0).describe("Until the last SVID ends that another intermediate has issued, by the plane's own clock.") })
    .optional()
    .describe("Of the cluster's own trust domain: by which root, as the SHA-256 of its DER, the intermediate was issued. Absent: the plane does not say."),
});

/** A trust domain's bundle as a cluster's plane has it. */
export type BundleRow = z.output<typeof bundleRowSchema>;

/** Which service's requests a question is about, and from where. */
const serviceQuestion = {
  service: z.string().min(1).max(253).describe("namespace/name, or a host as callers write it"),
  region: z.exactOptional(regionIdSchema).describe("As if called from there; this cluster's own unless told"),
};

/** The global plane's routes besides those of its kinds. */
export const globalRoutes = {
  createJoinToken,
  ...storeRoutes,
  ...withdrawalRoutes,
  ...provisioningRoutes,
  audit,
  status: defineRoute({
    operationId: "getFederationStatus",
    method: "GET",
    path: "/api/v1/status",
    summary: "The federation as the global plane sees it; with ?watch=true each new state",
    access: "read",
    query: watchQuery,
    answer: federationStatusSchema,
    event: z.object({ type: z.literal("status"), status: federationStatusSchema }),
  }),
  /** Records an approval that a side's signer has made; the plane checks its signature. */
  recordApproval: defineRoute({
    operationId: "recordRelationshipApproval",
    method: "PUT",
    path: "/api/v1/relationships/{name}/approval",
    summary: "Records one side's signed approval of a relationship",
    access: "write",
    params: relationshipName,
    query: dryRunQuery,
    body: relationshipApprovalSchema,
    answer: z.object({ name: labelSchema, approvals: z.array(relationshipApprovalSchema) }),
  }),
  /** Ends a recorded approval that its side's signer has taken back, where the signer's own word does not come by itself. */
  endApproval: defineRoute({
    operationId: "endRelationshipApproval",
    method: "PUT",
    path: "/api/v1/relationships/{name}/withdrawal",
    summary: "Takes away one side's approval that was given before a time",
    access: "write",
    params: relationshipName,
    body: relationshipWithdrawalSchema,
    answer: z.object({ name: labelSchema, approvals: z.array(relationshipApprovalSchema) }),
  }),
} as const;

const rotationSchema = z.object({
  trustDomain: trustDomainSchema,
  phase: z.enum(rotationPhases),
  sequence: z.int().min(1).describe("Of the bundle that holds now."),
  issuingSha256: sha256Schema.describe("Of the root by which intermediates are issued, in DER."),
});

/** Where the rotation of a trust domain's root stands, as its signer says. */
export type RootRotation = z.output<typeof rotationSchema>;

/** A cluster plane's routes besides those of its kinds. */
export const clusterRoutes = {
  createJoinToken,
  ...storeRoutes,
  ...withdrawalRoutes,
  ...provisioningRoutes,
  audit,
  status: defineRoute({
    operationId: "getClusterStatus",
    method: "GET",
    path: "/api/v1/status",
    summary: "This cluster as its own plane sees it; with ?watch=true each new state",
    access: "read",
    query: watchQuery,
    answer: clusterStatusSchema,
    event: z.object({ type: z.literal("status"), status: clusterStatusSchema }),
  }),
  bundles: defineRoute({
    operationId: "listBundles",
    method: "GET",
    path: "/api/v1/bundles",
    summary: "By which bundles this cluster verifies, and where each comes from",
    access: "read",
    answer: z.object({ items: z.array(bundleRowSchema) }),
  }),
  explain: defineRoute({
    operationId: "explain",
    method: "GET",
    path: "/api/v1/explain",
    summary: "Which places a service has from here, in which order, and why",
    access: "read",
    query: z.strictObject(serviceQuestion),
    answer: explanationSchema,
  }),
  simulate: defineRoute({
    operationId: "simulateLoss",
    method: "GET",
    path: "/api/v1/simulate",
    summary: "What the loss of regions and clusters would do to a service's callers here; nothing is changed",
    access: "read",
    query: z.strictObject({
      ...serviceQuestion,
      lostRegions: z.exactOptional(namesOf(regionIdSchema)).describe("Separated by commas"),
      lostClusters: z.exactOptional(namesOf(clusterIdSchema)).describe("Separated by commas"),
    }),
    answer: simulationSchema,
  }),
  /** Signs with the trust domain's authority; only the plane that is the signer can. */
  approveRelationship: defineRoute({
    operationId: "approveRelationship",
    method: "POST",
    path: "/api/v1/relationships/{name}/approve",
    summary: "Signs a relationship for this plane's trust domain and hands the approval to the global plane",
    access: "write",
    params: relationshipName,
    query: z.strictObject({
      generation: z.exactOptional(z.coerce.number<string>().int().min(1)).describe("Signs nothing but the form of this generation"),
      termsSha256: z.exactOptional(sha256Schema).describe("Signs nothing but the terms of this digest: what was shown to whoever approves"),
    }),
    answer: relationshipApprovalSchema,
  }),
  rootRotation: defineRoute({
    operationId: "getRootRotation",
    method: "GET",
    path: "/api/v1/rootrotation",
    summary: "Where the rotation of this trust domain's root stands; only the plane that is the signer can say",
    access: "read",
    answer: rotationSchema,
  }),
  /** Whoever asks for a step has made sure that everybody is ready for it. */
  stepRootRotation: defineRoute({
    operationId: "stepRootRotation",
    method: "POST",
    path: "/api/v1/rootrotation",
    summary: "Takes the next step of the rotation of this trust domain's root; only the plane that is the signer can",
    access: "write",
    body: z.strictObject({ step: z.enum(rotationSteps), sequence: z.int().min(1).describe("Of the bundle that the step was decided for: any other refuses it") }),
    answer: rotationSchema,
  }),
  /** Says, signed, that this plane's trust domain approves no longer; only the plane that is the signer can. */
  withdrawApproval: defineRoute({
    operationId: "withdrawRelationshipApproval",
    method: "DELETE",
    path: "/api/v1/relationships/{name}/approval",
    summary: "Takes this trust domain's approval of a relationship back: here at once, elsewhere as the word spreads",
    access: "write",
    params: relationshipName,
    answer: relationshipWithdrawalSchema,
  }),
} as const;

/** Kinds that users write at the global plane, and at a cluster's; and what each only shows. */
export const globalKinds = ["Region", "Cluster", "TrustDomain", "Relationship", "TrafficPolicy"] as const satisfies readonly Kind[];
export const clusterKinds = ["FederatedTrustDomain", "Service", "ServiceExport"] as const satisfies readonly Kind[];
export const clusterReadOnlyKinds = ["ServiceImport", "TrafficPolicy", "TrustDomain", "Relationship", "Cluster", "Region"] as const satisfies readonly Kind[];

/** Every route of the global plane, for its OpenAPI document. */
export function allGlobalRoutes(): readonly AnyRoute[] {
  return [...globalKinds.flatMap((kind) => [...Object.values(resourceRoutes(kind)), rolloutRoute(kind), ...rollbackRoutesOf(kind)]), ...Object.values(globalRoutes)];
}

/** Every route of a cluster's plane, for its OpenAPI document. */
export function allClusterRoutes(): readonly AnyRoute[] {
  const written = clusterKinds.flatMap((kind) => [...Object.values(resourceRoutes(kind)), rolloutRoute(kind), ...rollbackRoutesOf(kind)]);
  const shown = clusterReadOnlyKinds.flatMap((kind) => [resourceRoutes(kind).list, resourceRoutes(kind).get, rolloutRoute(kind)]);
  return [...written, ...shown, ...Object.values(clusterRoutes)];
}

/** Of kinds of trust no former form is shown, and a rollback is refused. */
function rollbackRoutesOf(kind: Kind): readonly AnyRoute[] {
  const { history: _, ...refused } = rollbackRoutes(kind);
  return Object.values(isKindOfTrust(kind) ? refused : rollbackRoutes(kind));
}
