import { execFile } from "node:child_process";
import { mkdtempDisposableSync, readFileSync } from "node:fs";
import { availableParallelism, tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it } from "vitest";
import { compileCache } from "../harness/compile-cache.ts";
import { isCaught, type MutantResult } from "../simulation/mutants/mutant-result.ts";
import type { SeedsLine } from "../simulation/run-seeds.ts";

const seeds = 300;
const main = join(import.meta.dirname, "../simulation/main.ts");

async function run(...args: readonly string[]): Promise<string> {
  return await new Promise((resolve, reject) => {
    execFile(process.execPath, [main, ...args], { env: { ...process.env, NODE_COMPILE_CACHE: compileCache } }, (error, stdout, stderr) => {
      if (stdout === "") reject(new Error(stderr, { cause: error }));
      else resolve(stdout);
    });
  });
}

/** Processes and not threads: each has a clock of its own that moves when everything in the process waits. */
async function simulate(first: number, count: number): Promise<SeedsLine> {
  return JSON.parse(await run("--first", String(first), "--seeds", String(count))) as SeedsLine;
}

it("a whole federation keeps its promises over many seeds", { timeout: 2_400_000 }, async () => {
  const processes = Math.max(1, availableParallelism());
  const each = Math.ceil(seeds / processes);
  const lines = await Promise.all(Array.from({ length: processes }, (_, index) => simulate(1 + index * each, each)));
  expect(lines.flatMap(({ failed }) => failed)).toEqual([]);
  expect(lines.reduce((sum, line) => sum + line.seeds, 0)).toBeGreaterThanOrEqual(seeds);
});

it("each planted bug is caught by a seed that is sound without it", { timeout: 2_400_000 }, async () => {
  using place = mkdtempDisposableSync(join(tmpdir(), "atoll-mutants-"));
  const file = join(place.path, "mutants.json");
  await run("--mutants", "--seeds", "1", "--json", file);
  const results = JSON.parse(readFileSync(file, "utf8")) as readonly MutantResult[];
  expect(results.length).toBeGreaterThanOrEqual(25);
  expect(results.filter((result) => !isCaught(result))).toEqual([]);
});
