import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { systemClock, type Clock } from "#federation/runtime/clock.ts";
import type { MutantResult } from "./mutant-result.ts";
import { catchingSeeds } from "./catching-seeds.ts";
import { mutants } from "./mutants.ts";

export interface RunMutantsOptions {
  /** Tried in this order for each mutant, after the one that is known to catch it, before it counts as not caught. */
  readonly seeds: readonly number[];
  /** Those of these names alone; absent: all. */
  readonly names?: readonly string[];
  /** By name, a seed that is known to catch it. */
  readonly known?: Readonly<Record<string, number>>;
  /** Exports `runSeed`; absent: the simulation. */
  readonly simulation?: URL;
  readonly onResult?: (result: MutantResult) => void;
  readonly clock?: Clock;
}

/** Processes at once. */
const processesMax = 2;
/** For one seed, in ms: a process that takes longer has been stopped by its bug. */
const seedMsMax = 180_000;
/** Of what a process that crashed has said last, in characters. */
const crashLengthMax = 300;

/**
 * Plants the mutants one by one, each in a process of its own, and looks for the first seed that catches it: by a violation,
 * by a crash, or by never ending. The same seed must be sound without the mutant. In the order of `mutants`.
 * @throws Error for a mutant that cannot be planted, and for a seed that fails without one
 */
export async function runMutants(options: RunMutantsOptions, signal: AbortSignal): Promise<readonly MutantResult[]> {
  const { names, onResult } = options;
  const chosen = mutants.filter(({ name }) => names === undefined || names.includes(name));
  const results: MutantResult[] = [];
  const sound = new Map<number, Promise<void>>();
  const waiting = chosen.entries();
  const work = async (): Promise<void> => {
    for (const [at, { name }] of waiting) {
      signal.throwIfAborted();
      const result = await runOne(name, seedsOf(name, options), options, signal);
      const seed = result.caughtBySeed;
      if (seed !== null) {
        if (!sound.has(seed)) sound.set(seed, demandSound(seed, options, signal));
        await sound.get(seed);
      }
      results[at] = result;
      onResult?.(result);
    }
  };
  await Promise.all(Array.from({ length: processesMax }, work));
  return results;
}

async function demandSound(seed: number, options: RunMutantsOptions, signal: AbortSignal): Promise<void> {
  const { what } = await runOne("", [seed], options, signal);
  if (what !== "") throw new Error(`seed ${seed} fails without a mutant, too: ${what}`);
}

function seedsOf(name: string, { seeds, known = catchingSeeds }: RunMutantsOptions): readonly number[] {
  const first = known[name];
  return first === undefined ? seeds : [first, ...seeds.filter((seed) => seed !== first)];
}

async function runOne(name: string, seeds: readonly number[], { simulation = new URL("../run-seed.ts", import.meta.url), clock = systemClock }: RunMutantsOptions, signal: AbortSignal): Promise<MutantResult> {
  const program = fileURLToPath(new URL("run-mutant.ts", import.meta.url));
  const child = spawn(process.execPath, [program, simulation.href, name, ...seeds.map(String)], { stdio: ["ignore", "pipe", "pipe"] });
  const closed = new Promise<void>((resolve) => child.once("close", () => resolve()));
  const stop = (): void => void child.kill("SIGKILL");
  signal.addEventListener("abort", stop, { once: true });
  let said = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => (said = (said + text).slice(-crashLengthMax)));
  let seed: number | undefined;
  let result: MutantResult | undefined;
  let isOverdue = false;
  let deadline: Disposable | undefined;
  try {
    for await (const text of createInterface(child.stdout)) {
      const line = JSON.parse(text) as MutantResult | { readonly seed: number };
      deadline?.[Symbol.dispose]();
      if ("mutant" in line) result = line;
      else {
        seed = line.seed;
        deadline = clock.schedule(seedMsMax, () => {
          isOverdue = true;
          stop();
        });
      }
    }
    await closed;
  } finally {
    deadline?.[Symbol.dispose]();
    signal.removeEventListener("abort", stop);
    stop();
  }
  signal.throwIfAborted();
  if (result !== undefined) return result;
  // A mutant that cannot be planted, or a simulation that cannot be read, has begun no seed.
  if (seed === undefined) throw new Error(`${name === "" ? "the simulation" : `mutant ${name}`} did not begin: ${said.trim()}`);
  return { mutant: name, caughtBySeed: seed, what: isOverdue ? `does not end within ${seedMsMax / 1_000} s` : `crashes: ${said.trim()}` };
}
