import { z } from "zod";
import { kinds, type Kind } from "#federation/model/resource.ts";
import { rolloutStates } from "#federation/model/rollout.ts";
import { resourcePath, resourcePathSchema, type ResourcePath } from "./resource-path.ts";
import { defineRoute, type Route } from "./route.ts";

/** Longest wait of one question, in seconds: less than the bound of a client's call. */
export const rolloutWaitSecondsMax = 20;

/** Those whom one answer names, proxies last and of these the ones of whom something is missing first; what is left out is counted. */
export const rolloutTargetsMax = 200;

export interface RolloutQuery {
  /** Answer at once when it is done or has changed, else after so many seconds. */
  readonly wait?: number;
  /** `state` of the answer before: what has changed since then is answered at once. */
  readonly seen?: string;
  /** The form that was written, by the ETag of the write's answer; a later one counts too. */
  readonly revision?: number;
  /** Of the store in which that revision is; the plane's present one unless told. */
  readonly epoch?: number;
  /** Asks about the deletion of the resource. */
  readonly deleted?: boolean;
}

const count = z.int().min(0);
const ms = z.number().min(0);

// Read leniently: a newer plane may say more than we know.
const answerSchema = z.object({
  kind: z.enum(kinds as readonly [Kind, ...Kind[]]),
  id: z.string(),
  generation: z.object({ epoch: count, revision: count }).optional().describe("Of the form that is to be in force; absent: the resource is to be gone."),
  done: z.boolean().describe("Nothing is missing of anybody."),
  counts: z.object(Object.fromEntries(rolloutStates.map((state) => [state, count])) as Record<(typeof rolloutStates)[number], typeof count>),
  targets: z.array(
    z.object({
      kind: z.enum(["cluster", "plane", "proxy", "global"]),
      name: z.string(),
      state: z.enum(rolloutStates),
      heardAgeMs: ms.optional().describe("Since it was last heard; absent: never, or it is always there."),
      behindMs: ms.optional().describe("Since the oldest thing that it has not acknowledged was sent."),
      reason: z.string().optional().describe("Why it refuses, or why waiting alone will not help."),
    }),
  ),
  targetsLeftOut: count.describe(`More of them than the ${rolloutTargetsMax} that are named; proxies are named last, and those of whom something is missing before the others.`),
  asOfMs: count,
  state: z.string().describe("For `seen` of the next question."),
});

/** How far a write has come, as a plane answers it. */
export type RolloutAnswer = z.infer<typeof answerSchema>;

const flag = z.enum(["true", "false"]).transform((text) => text === "true");

const querySchema: z.ZodType<RolloutQuery> = z
  .strictObject({
    wait: z.exactOptional(z.coerce.number<string>().int().min(0).max(rolloutWaitSecondsMax).describe("Seconds to wait for its being done or a change.")),
    seen: z.exactOptional(z.string().max(64).describe("`state` of the answer before: a change since then is answered at once.")),
    revision: z.exactOptional(z.coerce.number<string>().int().min(0).describe("The form that was written (its ETag), or a later one; the present one unless told.")),
    epoch: z.exactOptional(z.coerce.number<string>().int().min(0).describe("Of the store that the revision is of.")),
    deleted: z.exactOptional(flag.describe("Asks about the deletion of the resource.")),
  })
  .refine(({ revision, epoch, deleted }) => !(deleted === true && (revision !== undefined || epoch !== undefined)), "a deletion has no revision: leave revision and epoch out")
  .refine(({ revision, epoch }) => epoch === undefined || revision !== undefined, "an epoch without a revision: give both");

/** How far the last write of one resource has come with those whom it concerns. */
export function rolloutRoute(kind: Kind): Route<ResourcePath, RolloutQuery, undefined, RolloutAnswer> {
  return defineRoute({
    operationId: `get${kind}Rollout`,
    method: "GET",
    path: `${resourcePath(kind)}/rollout`,
    summary: `How far the last write of a ${kind} has come, or its deletion; with ?wait it waits for that`,
    access: "read",
    mayWait: true,
    params: resourcePathSchema(kind),
    query: querySchema,
    answer: answerSchema,
  });
}
