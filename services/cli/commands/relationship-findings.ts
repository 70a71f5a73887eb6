import type { FederationStatus, RelationshipRow } from "#federation/admin-api/status.ts";
import { describeAge } from "#federation/runtime/describe-age.ts";

/** So long before its end a relationship is named, in ms: two teams have to agree on another one until then. */
export const endNamedBeforeMs = 14 * 86_400_000;

/** Relationships that do nothing, and those that will soon, with what to do. Terms that only wait while others hold are no fault. Pure. */
export function relationshipProblems({ relationships, asOfMs }: Pick<FederationStatus, "relationships" | "asOfMs">): readonly string[] {
  return relationships.flatMap((row) => {
    if (row.state !== "active") return [`relationship ${row.name} is ${words[row.state]}`];
    const leftMs = Date.parse(row.validUntil) - asOfMs;
    return leftMs > endNamedBeforeMs ? [] : [`relationship ${row.name} of ${row.caller} and ${row.callee} ends in ${describeAge(leftMs)}, at ${row.validUntil}: ${whatToDo(row)}`];
  });
}

const words = { active: "active", waitingForApproval: "waiting for approval: `atoll relationship approve`", expired: "expired", invalid: "invalid" } as const;

function whatToDo({ name, proposed }: RelationshipRow): string {
  if (proposed === undefined) return "apply it with a later `validUntil`, and have both sides approve that; what was agreed holds meanwhile";
  return `what is proposed until ${proposed.validUntil} waits for ${proposed.waitsFor.map((trustDomain) => `\`atoll relationship approve ${name} --as ${trustDomain}\``).join(" and ")}`;
}
