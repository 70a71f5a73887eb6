import { execFile } from "node:child_process";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { expect, it } from "vitest";
import { compileCache } from "../harness/compile-cache.ts";
import type { SeedsLine } from "../simulation/run-seeds.ts";

const seeds = 300;
const main = join(import.meta.dirname, "../simulation/main.ts");

/** Processes and not threads: each has a clock of its own that moves when everything in the process waits. */
async function simulate(first: number, count: number): Promise<SeedsLine> {
  return await new Promise((resolve, reject) => {
    execFile(process.execPath, [main, "--first", String(first), "--seeds", String(count)], { env: { ...process.env, NODE_COMPILE_CACHE: compileCache } }, (error, stdout, stderr) => {
      if (stdout === "") reject(new Error(stderr, { cause: error }));
      else resolve(JSON.parse(stdout) as SeedsLine);
    });
  });
}

it("a whole federation keeps its promises over many seeds", { timeout: 2_400_000 }, async () => {
  const processes = Math.max(1, availableParallelism());
  const each = Math.ceil(seeds / processes);
  const lines = await Promise.all(Array.from({ length: processes }, (_, index) => simulate(1 + index * each, each)));
  expect(lines.flatMap(({ failed }) => failed)).toEqual([]);
  expect(lines.reduce((sum, line) => sum + line.seeds, 0)).toBeGreaterThanOrEqual(seeds);
});
