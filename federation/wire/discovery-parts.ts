import type { DeltaResponse } from "./discovery-messages.ts";

/**
 * What a response calls its version whose subscriber is told more of the same type as soon as it has answered: a table that is too large
 * for one message comes in parts. To clients that do not know it a version is a text for people, and each part a response like any other.
 */
export const partVersion = "part";

/** True of a response after which its subscriber is not level yet. */
export function isPart({ systemVersion }: Pick<DeltaResponse, "systemVersion">): boolean {
  return systemVersion === partVersion;
}
