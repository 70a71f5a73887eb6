import { z } from "zod";
import { isHost } from "#federation/runtime/dns/host-name.ts";
import { apiVersion, type Condition, type ExportedService, type Kind, type Resource, type ResourceKinds } from "../resource.ts";
import {
  clusterIdSchema,
  distinctList,
  hostSchema,
  labelSchema,
  namespacedNameSchema,
  portSchema,
  principalSchema,
  regionIdSchema,
  sha256Schema,
  signatureSchema,
  spiffeIdSchema,
  timestampSchema,
  trustDomainSchema,
} from "./name-schemas.ts";
import { trustDomainOf } from "../spiffe-id.ts";
import { federatedBundleBytesMax } from "../federated-trust-domain.ts";
import { trafficPolicySpecSchema } from "./policy-schemas.ts";

/** Bounds of the lists in a resource: far above what anybody uses, far below what hurts a plane. */
const listMax = { gateways: 64, regions: 64, namespaces: 256, principals: 256, services: 256, consumers: 256, ports: 64, accounts: 32, labels: 32, conditions: 32, bundleEndpointUrls: 8 } as const;

const certificateLengthMax = 16_384;
const bundleLengthMax = 65_536;
/** A fetched document is written anew when it is taken, and may grow a little by that. */
const fetchedBundleLengthMax = 2 * federatedBundleBytesMax;

const labelsSchema = z
  .record(
    z.string().regex(/^([a-z0-9.-]{1,190}\/)?[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$/, "a label key: [prefix/]name"),
    z.string().regex(/^([A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?)?$/, "a label value of at most 63 characters"),
  )
  .refine((labels) => Object.keys(labels).length <= listMax.labels, `at most ${listMax.labels} labels`);

const serverFilled = {
  labels: z.exactOptional(labelsSchema),
  generation: z.exactOptional(z.int().min(1)).describe("Filled by the server."),
  revision: z.exactOptional(z.int().min(0)).describe("Filled by the server."),
  createdAt: z.exactOptional(timestampSchema).describe("Filled by the server."),
};

const conditionSchema: z.ZodType<Condition> = z.strictObject({
  type: z.string().regex(/^[A-Z][A-Za-z0-9]{0,62}$/, "a word in PascalCase"),
  status: z.enum(["True", "False", "Unknown"]),
  reason: z.string().regex(/^[A-Z][A-Za-z0-9]{0,127}$/, "a word in PascalCase"),
  message: z.string().max(1_024),
  observedGeneration: z.int().min(0),
  lastTransitionTime: timestampSchema,
});

const conditionsSchema = z.exactOptional(z.array(conditionSchema).max(listMax.conditions));
const statusSchema = z.strictObject({ conditions: conditionsSchema });

/** One address of a cluster's gateways. */
export const gatewayListingSchema = z.strictObject({
  address: hostSchema.describe("A literal IP address, or a DNS name: callers resolve it on its time to live and use every address."),
  port: portSchema,
  regions: z.exactOptional(distinctList(regionIdSchema, listMax.regions).min(1, "at least one region")).describe("Regions whose callers the address is meant for."),
});

const servicePortsSchema = distinctList(
  z.strictObject({ name: labelSchema, port: portSchema, protocol: z.enum(["http", "tcp"]) }),
  listMax.ports,
  (port) => port.name,
).refine((ports) => new Set(ports.map((port) => port.port)).size === ports.length, "ports with different numbers");

const regionSpecSchema = z.strictObject({
  displayName: z.exactOptional(z.string().max(128)),
  coordinates: z.exactOptional(z.strictObject({ latitude: z.number().min(-90).max(90), longitude: z.number().min(-180).max(180) })),
  residency: z.exactOptional(distinctList(labelSchema, listMax.labels)),
});

const clusterSpecSchema = z.strictObject({
  region: regionIdSchema,
  trustDomain: trustDomainSchema,
  exportNamespaces: distinctList(labelSchema, listMax.namespaces).describe("Namespaces whose services this cluster may export."),
  planeAddress: z.exactOptional(z.strictObject({ host: hostSchema, discoveryPort: portSchema, joinPort: portSchema })),
  gateways: distinctList(gatewayListingSchema, listMax.gateways, (entry) => `${entry.address} ${entry.port}`).default([]),
});

const trustDomainSpecSchema = z.strictObject({
  authorityCertificatePem: z
    .string()
    .max(certificateLengthMax, `at most ${certificateLengthMax} characters`)
    .regex(/^\s*-----BEGIN CERTIFICATE-----[A-Za-z0-9+/=\s]+-----END CERTIFICATE-----\s*$/, "exactly one certificate in PEM"),
  bundle: z.string().max(bundleLengthMax, `at most ${bundleLengthMax} characters`).refine(isKeySet, "a JWKS document with at least one key"),
  bundleSignature: signatureSchema,
});

const relationshipSpecSchema = z
  .strictObject({
    caller: z.strictObject({
      trustDomain: trustDomainSchema,
      authoritySha256: sha256Schema,
      principals: distinctList(principalSchema, listMax.principals).min(1, "at least one principal"),
    }),
    callee: z.strictObject({
      trustDomain: trustDomainSchema,
      authoritySha256: sha256Schema,
      services: distinctList(namespacedNameSchema, listMax.services).min(1, "at least one service"),
    }),
    validUntil: timestampSchema,
  })
  .refine((spec) => spec.caller.trustDomain !== spec.callee.trustDomain, { path: ["callee", "trustDomain"], message: "another trust domain than the caller's" });

/** One side's approval of a relationship. */
export const relationshipApprovalSchema = z.strictObject({
  side: z.enum(["caller", "callee"]),
  signature: signatureSchema,
  approvedAt: timestampSchema,
});

/** One side's word that its approval holds no longer. */
export const relationshipWithdrawalSchema = z.strictObject({
  side: z.enum(["caller", "callee"]),
  withdrawnAt: timestampSchema,
});

const relationshipStatusSchema = z.strictObject({
  conditions: conditionsSchema,
  approvals: z
    .exactOptional(distinctList(relationshipApprovalSchema.extend({ terms: z.exactOptional(z.union([z.literal("agreed"), relationshipSpecSchema])).describe("What was approved, where that is not the present spec; `agreed`: the terms that stand there.") }), 2, (approval) => approval.side))
    .describe("What each side has approved last."),
  agreed: z
    .exactOptional(z.strictObject({ terms: relationshipSpecSchema, approvals: distinctList(relationshipApprovalSchema, 2, (approval) => approval.side).min(2, "both sides") }))
    .describe("What both sides had agreed on last, while the spec proposes something else."),
  inForce: z.exactOptional(z.strictObject({ terms: relationshipSpecSchema, since: timestampSchema })).describe("What holds now, and since when; filled by the server where it shows a relationship."),
});

const bundleEndpointSchema = z
  .strictObject({
    urls: distinctList(z.string().max(2_048).refine(isEndpointUrl, "an https URL without user, password and fragment"), listMax.bundleEndpointUrls).min(1, "at least one URL").describe("Tried in turn; redirects are not followed."),
    profile: z.enum(["https_web", "https_spiffe"]).describe("By what the endpoint proves itself: a certificate of the web, or an SVID of the trust domain."),
    webRootsPem: z.exactOptional(z.string().max(bundleLengthMax).regex(/^\s*-----BEGIN CERTIFICATE-----/, "certificates in PEM")).describe("With https_web: roots by which the certificate is verified; without it, those of the web."),
    spiffeId: z.exactOptional(spiffeIdSchema).describe("With https_spiffe: exactly this identity answers."),
  })
  .refine(({ profile, webRootsPem }) => profile === "https_web" || webRootsPem === undefined, { path: ["webRootsPem"], message: "nothing with https_spiffe: the trust domain's own bundle verifies the endpoint" })
  .refine(({ profile, spiffeId }) => (profile === "https_spiffe") === (spiffeId !== undefined), { path: ["spiffeId"], message: "the endpoint's SPIFFE ID with https_spiffe, and none with https_web" });

const federatedTrustDomainSpecSchema = z
  .strictObject({
    bundleEndpoint: bundleEndpointSchema,
    trustDomainBundle: z
      .exactOptional(z.string().max(bundleLengthMax, `at most ${bundleLengthMax} characters`).refine(isKeySet, "a JWKS document with at least one key"))
      .describe("The SPIFFE bundle document that is believed before the first fetch; https_spiffe needs it."),
  })
  .refine(({ bundleEndpoint, trustDomainBundle }) => bundleEndpoint.profile === "https_web" || trustDomainBundle !== undefined, { path: ["trustDomainBundle"], message: "a bundle by which the first fetch is verified, since the profile is https_spiffe" });

const federatedTrustDomainStatusSchema = z.strictObject({
  conditions: conditionsSchema,
  fetched: z.exactOptional(z.strictObject({ bundle: z.string().max(fetchedBundleLengthMax), acceptedAt: timestampSchema })).describe("The bundle that was fetched last; filled by the server."),
});

const serviceSpecSchema = z.strictObject({
  ports: servicePortsSchema.min(1, "at least one port"),
  serviceAccounts: distinctList(labelSchema, listMax.accounts).min(1, "at least one service account"),
});

const consumerSchema = z.union([z.strictObject({ trustDomain: trustDomainSchema }), z.strictObject({ cluster: clusterIdSchema })]);

const serviceExportSpecSchema = z.strictObject({
  consumers: z
    .exactOptional(distinctList(consumerSchema, listMax.consumers, (consumer) => JSON.stringify(consumer)))
    .describe("Who may see the service, completely; without it, one's own trust domain."),
});

const exportedServiceShape = {
  namespace: labelSchema,
  name: labelSchema,
  trustDomain: trustDomainSchema,
  cluster: clusterIdSchema,
  region: regionIdSchema,
  ports: servicePortsSchema,
  serverIdentities: distinctList(spiffeIdSchema, listMax.accounts),
  gateways: z.array(gatewayListingSchema).max(listMax.gateways),
  endpointsReady: z.int().min(0),
  endpointsUnknown: z.exactOptional(z.int().min(0)),
  endpointsTotal: z.int().min(0),
  asOfMs: z.int().min(0),
};

/** The value of a signed object of kind ServiceExport. Fields of later versions are ignored, since planes differ in age. */
export const exportedServiceSchema: z.ZodType<ExportedService> = z.object(exportedServiceShape);

const serviceImportSpecSchema = z.strictObject({
  ...exportedServiceShape,
  origin: z.strictObject({ epoch: z.int().min(0), revision: z.int().min(0) }),
  appliedAtMs: z.int().min(0),
});

/** The schema of every kind: all that may be written, unknown fields refused. */
export const resourceSchemas: { readonly [K in Kind]: z.ZodType<ResourceKinds[K]> } = {
  Region: clusterWide("Region", labelSchema, regionSpecSchema, statusSchema),
  Cluster: clusterWide("Cluster", clusterIdSchema, clusterSpecSchema, statusSchema),
  TrustDomain: clusterWide("TrustDomain", trustDomainSchema, trustDomainSpecSchema, statusSchema),
  Relationship: clusterWide("Relationship", labelSchema, relationshipSpecSchema, relationshipStatusSchema),
  TrafficPolicy: namespaced("TrafficPolicy", labelSchema, trafficPolicySpecSchema),
  FederatedTrustDomain: clusterWide("FederatedTrustDomain", trustDomainSchema, federatedTrustDomainSpecSchema, federatedTrustDomainStatusSchema).refine(
    ({ metadata, spec }) => spec.bundleEndpoint.spiffeId === undefined || trustDomainOf(spec.bundleEndpoint.spiffeId) === metadata.name,
    { path: ["spec", "bundleEndpoint", "spiffeId"], message: "an identity of the trust domain itself, since its bundle verifies the endpoint" },
  ),
  Service: namespaced("Service", labelSchema, serviceSpecSchema),
  ServiceExport: namespaced("ServiceExport", labelSchema, serviceExportSpecSchema),
  ServiceImport: namespaced("ServiceImport", z.string().regex(/^[a-z0-9-]{1,63}\.[a-z0-9-]{1,63}$/, "<service>.<origin cluster>"), serviceImportSpecSchema),
};

/** The schema of any resource, told apart by its kind. */
export const resourceSchema: z.ZodType<Resource> = z.union(Object.values(resourceSchemas));

function clusterWide<K extends Kind, Name extends z.ZodType<string, string>, Spec extends z.ZodType, Status extends z.ZodType>(kind: K, name: Name, spec: Spec, status: Status) {
  return z.strictObject({
    apiVersion: z.literal(apiVersion),
    kind: z.literal(kind),
    metadata: z.strictObject({ name, ...serverFilled }),
    spec,
    status: z.exactOptional(status),
  });
}

function namespaced<K extends Kind, Name extends z.ZodType<string, string>, Spec extends z.ZodType>(kind: K, name: Name, spec: Spec) {
  return z.strictObject({
    apiVersion: z.literal(apiVersion),
    kind: z.literal(kind),
    metadata: z.strictObject({ name, namespace: labelSchema, ...serverFilled }),
    spec,
    status: z.exactOptional(statusSchema),
  });
}

function isEndpointUrl(text: string): boolean {
  if (!URL.canParse(text)) return false;
  const { protocol, username, password, hash, hostname, port } = new URL(text);
  return protocol === "https:" && username === "" && password === "" && hash === "" && port !== "0" && (hostname.startsWith("[") || isHost(hostname));
}

function isKeySet(text: string): boolean {
  try {
    const document: unknown = JSON.parse(text);
    return typeof document === "object" && document !== null && "keys" in document && Array.isArray(document.keys) && document.keys.length > 0;
  } catch {
    return false;
  }
}
