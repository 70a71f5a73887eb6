/** Goodput as a share of the knee's, by the multiple of the knee's rate that was asked for. */
export type GoodputRatios = Readonly<Record<string, number>>;

/** What `npm run overload` prints; null where a part was not measured. */
export interface OverloadLine {
  readonly app: { readonly kneeRps: number; readonly goodput: GoodputRatios; readonly p99AdmittedRatio2x: number } | null;
  readonly cpu: { readonly kneeRps: number; readonly goodput: GoodputRatios } | null;
  readonly hops: { readonly kneeRps: number; readonly goodput: GoodputRatios } | null;
  readonly recoverMs: { readonly stall5s: number; readonly burner10s: number; readonly restartAll: number; readonly coldStart2x: number } | null;
  readonly amplification3Hops: number | null;
  readonly handshakesAt2x: number | null;
  readonly placesLoweredWrongly: number | null;
  /** By how many write to a plane at once: writes a second, and what is left of the most that were done for fewer. */
  readonly plane: { readonly writesPerSecond: Readonly<Record<string, number>>; readonly share: Readonly<Record<string, number>> } | null;
}
