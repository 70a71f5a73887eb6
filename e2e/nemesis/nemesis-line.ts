import { violationKinds, type ViolationKind } from "./history.ts";
import type { RunResult } from "./run-faults.ts";

/** What many runs came to, as the last line of output and in the file. */
export interface NemesisLine extends Readonly<Record<ViolationKind, number>> {
  readonly runs: number;
  readonly acknowledged: number;
  readonly maxHealMs: number;
  readonly silentStates: number;
  /** What had to go on under a fault and did not. */
  readonly stopped: number;
  /** Runs that could not be carried out to their end. */
  readonly failed: number;
}

/** Pure. A run that never healed counts as divergent, whatever else it was. */
export function lineOf(results: readonly RunResult[], failed: number): NemesisLine {
  const found = results.flatMap(({ violations }) => violations);
  const countOf = (kind: ViolationKind): number => found.filter((violation) => violation.kind === kind).length;
  const counts = Object.fromEntries(violationKinds.map((kind) => [kind, countOf(kind)])) as Record<ViolationKind, number>;
  const unhealed = results.filter((result) => result.unhealed !== undefined).length;
  const { lost, resurrected, divergent, ...others } = counts;
  return {
    runs: results.length + failed,
    acknowledged: sum(results.map(({ acknowledged }) => acknowledged)),
    lost,
    resurrected,
    divergent: divergent + unhealed,
    maxHealMs: Math.max(0, ...results.map(({ healMs }) => healMs)),
    silentStates: sum(results.map(({ silent }) => silent.length)),
    stopped: sum(results.map(({ stopped }) => stopped.length)),
    ...others,
    failed,
  };
}

/** Whether nothing that must not be was found. */
export function isClean(line: NemesisLine): boolean {
  return violationKinds.every((kind) => line[kind] === 0) && line.silentStates === 0 && line.stopped === 0 && line.failed === 0;
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}
