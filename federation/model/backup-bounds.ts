/** What a schedule of backups may say, and says unless it is told. */
export const backupBounds = {
  /** Between two backups. An hour: what is written in one is what a lost disk costs. */
  everySeconds: { min: 60, max: 7 * 86_400, usual: 3_600 },
  /** How many are kept; two days of those made each hour. */
  keep: { min: 1, max: 1_000, usual: 48 },
} as const;
