import { createHash } from "node:crypto";
import { createSeededRandom } from "#federation/runtime/random.ts";
import { operationsOf, type Operation } from "./operations.ts";
import { SimulatedFederation } from "./simulated-federation.ts";

/** How a seed went. */
export interface SeedResult {
  readonly seed: number;
  readonly operations: readonly Operation[];
  /** What must not be, in words; empty: nothing of the kind. */
  readonly violations: readonly string[];
  /** SHA-256 of what every plane showed after each step: the same for the same seed. */
  readonly trace: string;
}

/** So many steps between two copies of the stores, to which they may be put back. */
const copiedEvery = 4;

/** Runs the steps of a seed, heals, and judges. @throws what the simulation itself could not do */
export async function runSeed(seed: number): Promise<SeedResult> {
  return await runOperations(seed, operationsOf(createSeededRandom(seed)));
}

/** The same with other steps than the seed's own: the bus is as the seed has it. */
export async function runOperations(seed: number, operations: readonly Operation[]): Promise<SeedResult> {
  const trace = createHash("sha256");
  await using federation = await SimulatedFederation.create(seed);
  const { judge } = federation;
  for (const [at, operation] of operations.entries()) {
    await federation.apply(operation);
    // After the step: what is put back later lacks what came since.
    if (at % copiedEvery === 0) await federation.copyStores();
    await judge.look(`after step ${at} (${operation.kind})`, false);
    await judge.lookAtDone(`after step ${at} (${operation.kind})`);
    trace.update(await judge.trace());
    if (judge.violations.length > 0) break;
  }
  if (judge.violations.length === 0) {
    await federation.heal();
    await judge.look("in the end", true);
  }
  trace.update(await judge.trace());
  return { seed, operations, violations: judge.violations, trace: trace.digest("hex") };
}
