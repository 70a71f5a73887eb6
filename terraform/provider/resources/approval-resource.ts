import { approveRelationship, readProposed, withdrawApproval, type ApprovalPlanes } from "#federation/admin-api/relationship-client.ts";
import { parseLabel } from "#federation/model/names.ts";
import { parseTrustDomainName } from "#federation/model/spiffe-id.ts";
import type { Relationship } from "#federation/model/resource.ts";
import { systemClock } from "#federation/runtime/clock.ts";
import { AtollError, describeError, isAtollError } from "#federation/runtime/errors.ts";
import { requiredText, unknown, type CtyObject } from "../cty/values.ts";
import { attribute, errorAt } from "../diagnostics.ts";
import type { ManagedResource, Remembered } from "../managed.ts";
import type { ProviderPlanes } from "../planes.ts";
import type { Diagnostic } from "../protocol/messages.ts";
import type { Schema } from "../schema/to-proto.ts";

/** A relationship reaches its sides' signers a moment after it was applied: so long they are asked again. */
const knownWithinMs = 30_000;

const schema: Schema = {
  description: "One side's consent to a relationship in its present form, signed by the plane that holds the side's authority. A changed relationship has to be approved anew, and what was agreed holds until both sides have: set `generation` to that of the relationship, or to that of the form that was read. Destroying it takes the approval back, also when the relationship is gone already: declared once more in the same words, it would be approved still.",
  attributes: [
    { name: "relationship", field: "relationship", type: { kind: "string" }, use: "required", description: "The relationship's name." },
    { name: "trust_domain", field: "trustDomain", type: { kind: "string" }, use: "required", description: "For which side: its signer must be among the `signers` of the provider's context." },
    { name: "generation", field: "generation", type: { kind: "number" }, use: "optional", description: "Of the relationship as it is approved: no other form is signed, and another number is approved anew." },
    { name: "id", field: "id", type: { kind: "string" }, use: "computed", description: "`relationship/trust_domain`: also what it is imported by." },
    { name: "approved_at", field: "approvedAt", type: { kind: "string" }, use: "computed", description: "RFC 3339." },
  ],
};

/** `atoll_relationship_approval`. */
export const approvalResource: ManagedResource = {
  schema,
  replace: ["relationship", "trust_domain"],
  changing: ["approved_at"],
  idForm: "relationship/trust_domain",
  validate,
  create: approve,
  update: async ({ planned }, planes, signal) => await approve(planned, planes, signal),
  async remove(prior, _memory, planes, signal) {
    await withdrawApproval(planesOf(prior, planes), requiredText(prior, "relationship"), { clock: systemClock, withinMs: knownWithinMs }, signal);
  },
  async read(state, planes, signal) {
    const relationship = await find(state, planes, signal);
    if (relationship === undefined) return standing(state);
    const side = sideOf(relationship, requiredText(state, "trust_domain"));
    const approval = relationship.status?.approvals?.find((given) => given.side === side);
    if (approval === undefined) return undefined;
    return { state: { ...state, approved_at: approval.approvedAt }, memory: {} };
  },
  import(id) {
    const [relationship = "", trustDomain = "", ...more] = id.split("/");
    if (relationship === "" || trustDomain === "" || more.length > 0) return undefined;
    return { relationship, trust_domain: trustDomain, generation: null, id, approved_at: null };
  },
};

function validate(config: CtyObject): readonly Diagnostic[] {
  const check = (name: string, parse: (text: string) => unknown): readonly Diagnostic[] => {
    const value = config[name];
    if (typeof value !== "string") return [];
    try {
      parse(value);
      return [];
    } catch (error) {
      return [errorAt(attribute(name), "The approval cannot be used.", describeError(error))];
    }
  };
  return [...check("relationship", (text) => parseLabel(text, "relationship")), ...check("trust_domain", parseTrustDomainName)];
}

/** What the global plane shows is what the signer is asked for, and it signs nothing else: it may hold an older form for a moment, and is asked again then. */
async function approve(planned: CtyObject, planes: ProviderPlanes, signal: AbortSignal): Promise<Remembered> {
  const name = requiredText(planned, "relationship");
  const trustDomain = requiredText(planned, "trust_domain");
  const generation = planned["generation"];
  const wanted = typeof generation === "number" ? { generation } : {};
  const asked = planesOf(planned, planes);
  const patience = { clock: systemClock, withinMs: knownWithinMs };
  const approval = await readProposed(asked.global, { name, ...wanted }, patience, signal)
    .then(async (shown) => await approveRelationship(asked, shown, patience, signal))
    .catch((error: unknown) => {
      const isOfGeneration = typeof generation === "number" && isAtollError(error, "ATOLL_STORE_CONFLICT", "ATOLL_TERMS_DIFFER");
      throw isOfGeneration ? new AtollError(error.code, error.message, { cause: error, details: { attribute: "generation" } }) : error;
    });
  return { state: { ...planned, generation: generation === unknown || generation === undefined ? null : generation, id: `${name}/${trustDomain}`, approved_at: approval.approvedAt }, memory: {} };
}

/**
 * An approval whose relationship is gone: the signer stands by its word, which would count again as soon as the other side declared the same
 * once more. So it is kept for a destroy to take back. One that nobody has seen, as in an import, is not there.
 */
function standing(state: CtyObject): Remembered | undefined {
  return state["approved_at"] === null ? undefined : { state, memory: {} };
}

function planesOf(resource: CtyObject, planes: ProviderPlanes): ApprovalPlanes {
  return { signer: planes.signerOf(requiredText(resource, "trust_domain")), global: planes.of(undefined) };
}

async function find(state: CtyObject, planes: ProviderPlanes, signal: AbortSignal): Promise<Relationship | undefined> {
  try {
    return await planes.of(undefined).get("Relationship", { name: requiredText(state, "relationship") }, signal);
  } catch (error) {
    if (isAtollError(error, "ATOLL_NOT_FOUND")) return undefined;
    throw error;
  }
}

function sideOf({ metadata, spec }: Relationship, trustDomain: string): "caller" | "callee" {
  if (spec.caller.trustDomain === trustDomain) return "caller";
  if (spec.callee.trustDomain === trustDomain) return "callee";
  throw new AtollError("ATOLL_REQUEST_INVALID", `${metadata.name} is not a relationship of ${trustDomain}`);
}
