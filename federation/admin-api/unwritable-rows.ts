import type { WriteFailure } from "#federation/runtime/write-failures.ts";
import type { FederationStatus } from "./status.ts";

/** Of a reason, in characters: it may name paths. */
const reasonLengthMax = 300;

/** What a plane cannot write, as its status shows it; nothing where it can write all. Pure. */
export function unwritableField(failures: readonly WriteFailure[]): Pick<FederationStatus, "unwritable"> {
  if (failures.length === 0) return {};
  return { unwritable: failures.map(({ what, reason, sinceMs }) => ({ what, reason: reason.slice(0, reasonLengthMax), sinceMs })) };
}
