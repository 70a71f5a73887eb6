import { createHash } from "node:crypto";
import type { Relationship } from "#federation/model/resource.ts";
import { relationshipSigningInput } from "#federation/model/signing-input.ts";

/** SHA-256, in lower-case hex, of the bytes that an authority signs to approve what `relationship` proposes: by it whoever approves says what was read. */
export function termsDigest({ metadata, spec }: Pick<Relationship, "metadata" | "spec">): string {
  return createHash("sha256").update(relationshipSigningInput(metadata.name, spec)).digest("hex");
}
