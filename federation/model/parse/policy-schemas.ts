import { z } from "zod";
import { priorityClasses } from "../priority-class.ts";
import { defaultTrafficPolicy, fillTrafficPolicy, streamMsMax, timeoutMsMax } from "../traffic-policy.ts";
import { distinctList, labelSchema, regionIdSchema, trustDomainSchema } from "./name-schemas.ts";

const regionsMax = 64;
const hourMs = 3_600_000;

const localitySchema = z
  .discriminatedUnion("mode", [
    z.strictObject({ mode: z.literal("nearest") }),
    z.strictObject({ mode: z.literal("ordered"), order: distinctList(regionIdSchema, regionsMax).min(1, "at least one region") }),
    z.strictObject({
      mode: z.literal("weights"),
      weights: distinctList(
        z.strictObject({ region: regionIdSchema, weight: z.number().positive("a weight above 0").max(1_000_000) }),
        regionsMax,
        (entry) => entry.region,
      ).min(1, "at least one region"),
    }),
  ])
  .describe("In which order regions are tried; every mode composes with failover.");

const retriesSchema = z.strictObject({
  retriesMax: withDefault(z.int().min(0).max(10), defaultTrafficPolicy.retries.retriesMax, "Further tries after the first."),
  budgetRatio: withDefault(z.number().min(0).max(1), defaultTrafficPolicy.retries.budgetRatio, "Largest share of the last 10 s' requests that may be retries."),
  statuses: z.exactOptional(distinctList(z.int().min(400).max(599), 32)).describe("Response codes tried again for idempotent requests; 502, 503, 504 unless given."),
});

const timeoutsSchema = z.strictObject({
  requestMs: withDefault(z.int().min(1).max(timeoutMsMax), defaultTrafficPolicy.timeouts.requestMs, "Until the response's head, over all tries; counted from the request's head, or from its end where its body streams."),
  connectMs: withDefault(z.int().min(1).max(60_000), defaultTrafficPolicy.timeouts.connectMs, "Until a connection is made."),
  idleMs: withDefault(z.int().min(1).max(timeoutMsMax), defaultTrafficPolicy.timeouts.idleMs, "No byte in either direction of a body, an upgraded connection or a TCP connection; what flows is not cut."),
  tryMs: z.exactOptional(z.int().min(1).max(timeoutMsMax)).describe("Until the response's head, one try of a request that may be tried again; the last one has the rest of requestMs. As long as requestMs unless given."),
  streamMs: z.exactOptional(z.int().min(1).max(streamMsMax)).describe("The whole exchange with its bodies, or an upgraded connection. As long as it flows unless given."),
});

const outlierSchema = z.strictObject({
  consecutiveFailures: withDefault(z.int().min(1).max(1_000), defaultTrafficPolicy.outlier.consecutiveFailures, "Failures in a row that eject."),
  baseEjectionMs: withDefault(z.int().min(100).max(hourMs), defaultTrafficPolicy.outlier.baseEjectionMs, "First ejection; each further one is longer."),
  maxEjectionMs: withDefault(z.int().min(100).max(hourMs), defaultTrafficPolicy.outlier.maxEjectionMs, "Longest ejection."),
});

/** The spec of a TrafficPolicy, as the user writes it. */
export const trafficPolicySpecSchema = z
  .strictObject({
    targetRef: z
      .strictObject({ namespace: labelSchema, name: labelSchema, trustDomain: z.exactOptional(trustDomainSchema) })
      .describe("The service it speaks of; without a trust domain, the one of the cluster that applies it."),
    locality: z.exactOptional(localitySchema),
    retries: z.exactOptional(retriesSchema),
    timeouts: z.exactOptional(timeoutsSchema),
    outlier: z.exactOptional(outlierSchema),
    priority: z.exactOptional(z.enum(priorityClasses)).describe("The class of its requests: where not all can be served, sheddable ones go first and critical ones last. default unless given."),
  })
  .superRefine((spec, context) => {
    const { outlier } = fillTrafficPolicy(spec);
    if (outlier.baseEjectionMs > outlier.maxEjectionMs) {
      context.addIssue({ code: "custom", path: ["outlier"], message: "baseEjectionMs not above maxEjectionMs" });
    }
  });

/** The default is told, not filled in: a stored policy keeps what its user wrote. */
function withDefault(schema: z.ZodNumber | z.ZodInt, fallback: number, meaning: string) {
  return z.exactOptional(schema).describe(`${meaning} ${fallback} unless given.`);
}
