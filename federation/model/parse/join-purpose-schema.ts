import { z } from "zod";
import type { JoinPurpose } from "../join-purpose.ts";
import { clusterIdSchema, labelSchema } from "./name-schemas.ts";

/** What a join token may be used for. */
export const joinPurposeSchema: z.ZodType<JoinPurpose> = z.discriminatedUnion("kind", [
  z.strictObject({ kind: z.literal("cluster"), cluster: clusterIdSchema }),
  z.strictObject({ kind: z.literal("enrolment"), cluster: clusterIdSchema }),
  z.strictObject({ kind: z.literal("workload"), namespace: labelSchema, serviceAccount: labelSchema }),
  z.strictObject({ kind: z.literal("gateway") }),
]);
