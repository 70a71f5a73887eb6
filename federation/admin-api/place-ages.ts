import type { ServicePlace } from "./status.ts";

/** What is known of the age of a statement, in ms. */
export interface KnownAges {
  /** Since its origin said it, by the origin's clock: it says it anew when something changes. */
  readonly changedAgeMs: number;
  /** Since it was last known to be what the origin says; undefined when nobody knows. */
  readonly heldAgeMs: number | undefined;
}

/** A statement that is confirmed is as fresh as that, however long ago it was made. One that nobody confirms is as old as it is. */
export function placeAges({ changedAgeMs, heldAgeMs }: KnownAges): Pick<ServicePlace, "ageMs" | "changedAgeMs"> {
  const changed = Math.max(0, Math.floor(changedAgeMs));
  return { ageMs: heldAgeMs === undefined ? changed : Math.floor(heldAgeMs), changedAgeMs: changed };
}
