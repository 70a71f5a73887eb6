/** What a plane reads of its own store and does not hear of any more, though the store answers: what it holds of it may be old. */
export interface UnfollowedCollection {
  /** Without what is before all keys, as `resources/TrafficPolicy`. */
  readonly collection: string;
  /** Since it was last known to be what the store holds. */
  readonly ageMs: number;
  /** Why it was not read when that was tried last. */
  readonly reason: string;
}
