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
}

/** One line of JSON; ratios to three digits, the rest to whole numbers. Multiples stand in their order, which JSON.stringify does not keep. */
export function renderLine(line: OverloadLine): string {
  return render(line);
}

function render(value: unknown): string {
  if (typeof value === "number" && Number.isFinite(value)) return String(Number(value.toFixed(value < 100 ? 3 : 0)));
  if (value === null || typeof value !== "object") return "null";
  const entries = Object.entries(value);
  const isByMultiple = entries.every(([key]) => Number.isFinite(Number(key)));
  const ordered = isByMultiple ? entries.toSorted(([left], [right]) => Number(left) - Number(right)) : entries;
  return `{${ordered.map(([key, part]) => `${JSON.stringify(key)}:${render(part)}`).join(",")}}`;
}
