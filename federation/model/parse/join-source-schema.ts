import { z } from "zod";
import { attestationLimits } from "../attestation.ts";
import { labelSchema } from "./name-schemas.ts";

const fileSchema = z.string().max(255).regex(/^\/[A-Za-z0-9._/-]+$/, "an absolute path of letters, digits, '.', '_' and '-'");
const ageSchema = z.exactOptional(z.int().min(60).max(86_400)).describe("So old a document may be when it comes for the first time; its own life unless given.");
const audienceSchema = z.string().min(1).max(1_024).describe("For whom a document is made, e.g. atoll://shop.");

/** Clouds that sign documents for their machines, in the words of a plane's configuration (docs/joining.md). Pods have no hosts of ours. */
export const joinSourceSchema = z.discriminatedUnion("kind", [
  z.strictObject({ kind: z.literal("aws"), certificatesFile: fileSchema, firstUseSeconds: z.exactOptional(z.int().min(60).max(2_592_000)).describe("After a machine's start; 3600 unless given.") }),
  z.strictObject({ kind: z.literal("google"), audience: audienceSchema, keysFile: fileSchema, maxAgeSeconds: ageSchema }),
  z.strictObject({ kind: z.literal("azure"), certificatesFile: fileSchema, signerName: z.exactOptional(z.enum(["metadata.azure.com", "metadata.azure.us", "metadata.azure.cn"])) }),
]);

/** By what the programs of one machine get in, in the place of tokens. */
export const hostJoinSchema = z.strictObject({
  source: labelSchema.describe("One of attestation.sources."),
  facts: z.record(z.string().min(1).max(64), z.string().min(1).max(attestationLimits.factLength)).describe("What the document of this machine, and of no other one of the file, says."),
});
