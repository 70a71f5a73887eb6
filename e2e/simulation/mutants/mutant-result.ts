/** What became of one mutant. */
export interface MutantResult {
  readonly mutant: string;
  /** The first seed by which it was noticed; null: by none that was run. */
  readonly caughtBySeed: number | null;
  /** What was seen then, in words; empty when nothing was. */
  readonly what: string;
}

/** One of them in a line. Pure. */
export function describeMutant({ mutant, caughtBySeed, what }: MutantResult, width = 0): string {
  return `${mutant.padEnd(width)}  ${caughtBySeed === null ? "NOT CAUGHT" : `seed ${caughtBySeed}: ${what}`}`;
}

/** A table with a line for each mutant, and one that says how many there are and how many were caught. Pure. */
export function describeMutants(results: readonly MutantResult[]): string {
  const width = Math.max(0, ...results.map(({ mutant }) => mutant.length));
  return [...results.map((result) => describeMutant(result, width)), `${results.length} mutants, ${results.filter(isCaught).length} caught`].join("\n");
}

export function isCaught({ caughtBySeed }: MutantResult): boolean {
  return caughtBySeed !== null;
}
