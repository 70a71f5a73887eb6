/** Removals that are only inferred may take at most this share of what there is, and never the last one. */
export const removalRatioMax = 0.2;

/** Withdrawals at once of a publisher that need not sign its deletions: so many go, however few objects there are. */
export const unsignedWithdrawalsMax = 5;
