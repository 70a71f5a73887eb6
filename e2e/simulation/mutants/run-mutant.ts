import { describeError } from "#federation/runtime/errors.ts";
import { keepAlive } from "../../harness/run-measure.ts";
import type { MutantResult } from "./mutant-result.ts";
import { mutants } from "./mutants.ts";
import { plant } from "./plant.ts";

/** What `module` exports. */
interface Simulation {
  readonly runSeed: (seed: number) => Promise<{ readonly violations: readonly string[] }>;
}

/** The program of one mutant: `run-mutant.ts MODULE NAME SEED...`, without a mutant for an empty name. Says each seed that it begins, `{"seed":N}`, and in the end its result, a line each. */
async function main([module = "", name = "", ...seeds]: readonly string[]): Promise<void> {
  if (name !== "") plant(mutantOf(name));
  // Imported only now: what was read before the bug was planted would be sound.
  const { runSeed } = (await import(module)) as Simulation;
  say(await firstCatch(name, seeds.map(Number), runSeed));
}

async function firstCatch(mutant: string, seeds: readonly number[], runSeed: Simulation["runSeed"]): Promise<MutantResult> {
  for (const seed of seeds) {
    say({ seed });
    const [what] = await runSeed(seed).then(
      ({ violations }) => violations,
      (error: unknown) => [`the simulation failed: ${describeError(error)}`],
    );
    if (what !== undefined) return { mutant, caughtBySeed: seed, what };
  }
  return { mutant, caughtBySeed: null, what: "" };
}

function mutantOf(name: string): (typeof mutants)[number] {
  const mutant = mutants.find((one) => one.name === name);
  if (mutant === undefined) throw new Error(`there is no mutant ${name}`);
  return mutant;
}

function say(line: MutantResult | { readonly seed: number }): void {
  process.stdout.write(`${JSON.stringify(line)}\n`);
}

await keepAlive(() => main(process.argv.slice(2)));
// What a bug has left running is not waited for.
process.exit(0);
