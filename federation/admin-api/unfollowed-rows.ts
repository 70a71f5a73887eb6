import type { UnfollowedCollection } from "#federation/model/unfollowed-collection.ts";
import type { FederationStatus } from "./status.ts";

/** Of a reason, in characters: what an engine says may be long. */
const reasonLengthMax = 200;

/** What a plane does not hear of any more in its own store, as its status shows it; nothing where it hears of all. Pure. */
export function unfollowedField(unfollowed: readonly UnfollowedCollection[]): Pick<FederationStatus, "unfollowed"> {
  if (unfollowed.length === 0) return {};
  return { unfollowed: unfollowed.map(({ collection, ageMs, reason }) => ({ collection, ageMs: Math.floor(ageMs), reason: reason.slice(0, reasonLengthMax) })) };
}
