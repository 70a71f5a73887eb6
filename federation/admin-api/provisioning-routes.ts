import { z } from "zod";
import { isCidr } from "#federation/model/cidr.ts";
import { joinPurposeSchema } from "#federation/model/parse/join-purpose-schema.ts";
import { provisioningLimits } from "#federation/model/provisioning-token.ts";
import { defineRoute } from "./route.ts";

const idSchema = z.string().regex(/^many-[a-z0-9-]{1,58}$/).describe("As the list shows it; no secret.");

/** A provisioning token as lists show it: who used it, never its secret. */
export const provisioningTokenSchema = z.object({
  id: z.string(),
  purpose: joinPurposeSchema,
  usesMax: z.int(),
  uses: z.array(z.object({ keySha256: z.string().describe("Of the public key that was certified: the instance."), address: z.string(), at: z.string() })),
  cidrs: z.array(z.string()),
  createdAt: z.string(),
  expiresAt: z.string(),
  revoked: z.boolean(),
});

export type ProvisioningTokenView = z.infer<typeof provisioningTokenSchema>;

/** Tokens by which many instances join; both kinds of planes make them, each for what joins at it. */
export const provisioningRoutes = {
  createProvisioningToken: defineRoute({
    operationId: "createProvisioningToken",
    method: "POST",
    path: "/api/v1/provisioningtokens",
    summary: "Makes a token by which many instances join, and shows it once",
    access: "write",
    body: z.strictObject({
      purpose: joinPurposeSchema,
      uses: z.int().min(1).max(provisioningLimits.usesMax).describe("How many instances, each with a key of its own."),
      lifeSeconds: z.int().min(provisioningLimits.lifeSecondsMin).max(provisioningLimits.lifeSecondsMax),
      cidrs: z.exactOptional(z.array(z.string().max(64).refine(isCidr, "a network, address/bits")).max(provisioningLimits.cidrsMax)).describe("Where they may come from; from everywhere unless told."),
    }),
    answer: z.object({ id: z.string(), token: z.string(), purpose: joinPurposeSchema, expiresAt: z.string() }),
  }),
  listProvisioningTokens: defineRoute({
    operationId: "listProvisioningTokens",
    method: "GET",
    path: "/api/v1/provisioningtokens",
    summary: "The tokens for many instances that have not expired, and who used them",
    access: "administer",
    answer: z.object({ items: z.array(provisioningTokenSchema) }),
  }),
  revokeProvisioningToken: defineRoute({
    operationId: "revokeProvisioningToken",
    method: "DELETE",
    path: "/api/v1/provisioningtokens/{id}",
    summary: "Ends a token for many instances at once; certificates that it gave stay until they expire",
    access: "write",
    params: z.strictObject({ id: idSchema }),
    answer: provisioningTokenSchema,
  }),
} as const;
