import { termsDigest } from "#federation/admin-api/terms-digest.ts";
import { parseLabel } from "#federation/model/names.ts";
import type { Condition, Relationship, RelationshipSpec } from "#federation/model/resource.ts";
import { AtollError } from "#federation/runtime/errors.ts";
import type { CommandContext } from "../context.ts";
import { printData } from "../output.ts";
import { approveForSide, proposedTerms } from "../up/relate.ts";
import { withFederation } from "./federation.ts";

/** Shortest beginning of a digest that names terms, in hex digits. */
const digestDigitsMin = 8;

/** `atoll relationship show NAME`: what holds of it since when and until when, and what is proposed and waits for whose approval. */
export async function runRelationshipShow(context: CommandContext, name: string): Promise<number> {
  const relationship = await withFederation(context, async ({ planes }) => await planes.global().get("Relationship", { name: parseLabel(name, "relationship") }, context.signal));
  if (printData(context, { ...relationship, termsSha256: termsDigest(relationship) })) return 0;
  for (const line of standingLines(relationship)) context.terminal.print(line);
  return 0;
}

/** `atoll relationship approve NAME --as TRUST-DOMAIN …`: shows what is proposed and has exactly that signed; with `--terms` nothing but the terms of that digest. */
export async function runApprove(context: CommandContext, name: string, options: { readonly as: readonly string[]; readonly terms?: string }): Promise<number> {
  const wanted = options.terms === undefined ? undefined : parseDigest(options.terms);
  const shown = await withFederation(context, async ({ planes }) => {
    // Who cannot sign here is told so before anything else.
    for (const trustDomain of options.as) planes.signerOf(trustDomain);
    const proposed = await proposedTerms(planes, parseLabel(name, "relationship"), context);
    const digest = termsDigest(proposed);
    if (wanted !== undefined && !digest.startsWith(wanted)) throw new AtollError("ATOLL_TERMS_DIFFER", `${name} proposes the terms ${digest}, and ${wanted} was to be approved: nothing was signed`);
    if (context.output === "table") context.terminal.print(`${name} (terms ${digest.slice(0, 2 * digestDigitsMin)}): ${termsInWords(proposed.spec)}`);
    for (const trustDomain of options.as) {
      await approveForSide(planes, proposed, trustDomain, context);
      if (context.output === "table") context.terminal.print(`${trustDomain} has approved relationship ${name}`);
    }
    return { relationship: name, approvedBy: options.as, termsSha256: digest };
  });
  printData(context, shown);
  return 0;
}

/** How a relationship stands, for people, a line each. Pure. */
export function standingLines(relationship: Relationship): readonly string[] {
  const { metadata, spec, status = {} } = relationship;
  const { conditions = [], inForce, approvals = [] } = status;
  const agreed = conditions.find(({ type }) => type === "Agreed");
  const given = approvals.map(({ side, terms, approvedAt }) => `${spec[side].trustDomain} approved ${terms === undefined ? "this" : "other terms"} at ${approvedAt}`);
  return [
    `${metadata.name}: ${spec.caller.trustDomain} calls ${spec.callee.trustDomain}`,
    inForce === undefined ? `in force  nothing: ${messageOf(conditions, "InForce")}` : `in force  since ${inForce.since}: ${termsInWords(inForce.terms)}`,
    `proposed  generation ${metadata.generation ?? 0}, terms ${termsDigest(relationship).slice(0, 2 * digestDigitsMin)}: ${termsInWords(spec)}`,
    `approvals ${given.join("; ") || "none"}${agreed?.status === "False" ? `; ${agreed.message}` : ""}`,
  ];
}

function termsInWords({ caller, callee, validUntil }: RelationshipSpec): string {
  return `${caller.principals.join(", ")} of ${caller.trustDomain} may call ${callee.services.join(", ")} of ${callee.trustDomain} until ${validUntil}`;
}

function messageOf(conditions: readonly Condition[], type: string): string {
  return conditions.find((condition) => condition.type === type)?.message ?? "the plane says nothing of it";
}

function parseDigest(text: string): string {
  if (new RegExp(`^[0-9a-f]{${digestDigitsMin},64}$`).test(text)) return text;
  throw new AtollError("ATOLL_USAGE", `--terms takes ${digestDigitsMin} to 64 hex digits, as \`atoll relationship show\` prints them`);
}
