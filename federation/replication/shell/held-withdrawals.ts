/** What one receiver holds back of what its publisher has withdrawn, and an operator's word about it. */
export interface HeldWithdrawals {
  /** Ids of the objects. */
  readonly ids: () => readonly string[];
  /**
   * Lets all of them go, and of the publisher's epochs up to `epoch` what their first answers do not hold, since somebody has decided that.
   * Answers how many went, once that is durable. @throws {ATOLL_STORE_UNAVAILABLE} when the receiver was interrupted meanwhile.
   */
  readonly letGo: (epoch: number | undefined) => Promise<number>;
}
