import { z } from "zod";
import { clusterIdSchema, regionIdSchema, signatureSchema, trustDomainSchema } from "#federation/model/parse/name-schemas.ts";

/** Where a cluster's plane joins: `POST` on the global plane's join port. */
export const joinPath = "/join/v1/cluster";

/** Where a cluster's plane renews its certificate: `POST` on the admin port, over mutual TLS. */
export const renewPath = "/join/v1/renew";

const pemSchema = z.string().min(1).max(64 * 1024);

/** What a trust domain's signer says of it when its plane joins; the first word pins the authority. */
export const trustDomainStatementSchema = z.strictObject({
  authorityCertificatePem: pemSchema,
  bundle: z.string().min(2).max(1024 * 1024),
  bundleSignature: signatureSchema,
});

export const joinRequestSchema = z.strictObject({
  /** Id and secret of a token made for a cluster; planes before attestation know no other proof. */
  tokenId: z.exactOptional(z.string().max(63)),
  /** base64url. */
  secret: z.exactOptional(z.string().max(128)),
  /** In place of both: `attested1.<kind>.<document>`. */
  attestation: z.exactOptional(z.string().max(16 * 1024)),
  /** PKCS#10, base64 of DER; only its public key is taken. */
  csr: z.base64().max(32 * 1024),
  /** Sent by the plane that holds its trust domain's signer. */
  trustDomain: z.exactOptional(trustDomainStatementSchema),
});

export const renewRequestSchema = z.strictObject({ csr: z.base64().max(32 * 1024) });

/** `host:port` of the global plane's admin API, where a plane renews its certificate. */
const apiAddressesSchema = z.array(z.string().min(3).max(300)).max(16);

/** What renewing answers: names come from the registered Cluster, as at joining. */
export const renewAnswerSchema = z.object({ certificateChainPem: pemSchema, apiAddresses: apiAddressesSchema });

/** What a plane becomes by joining. */
export const joinAnswerSchema = z.object({
  federation: trustDomainSchema,
  cluster: clusterIdSchema,
  region: regionIdSchema,
  trustDomain: trustDomainSchema,
  /** Of the plane, leaf first, without the root. */
  certificateChainPem: pemSchema,
  /** The federation's root: the anchor of planes. */
  federationRootPem: pemSchema,
  /** The federation's authority: the anchor of what the global plane signs. */
  federationAuthorityPem: pemSchema,
  /** Empty in memberships written before it was told. */
  apiAddresses: apiAddressesSchema.default([]),
});

export type TrustDomainStatement = z.infer<typeof trustDomainStatementSchema>;
export type RenewAnswer = z.infer<typeof renewAnswerSchema>;
export type JoinRequest = z.infer<typeof joinRequestSchema>;
export type JoinAnswer = z.infer<typeof joinAnswerSchema>;
