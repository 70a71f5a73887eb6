import { expect, it } from "vitest";
import { describeMutants } from "./mutant-result.ts";
import { root } from "./plant.ts";
import { runMutants } from "./run-mutants.ts";

const never = new AbortController().signal;
const planted = "terms are compared without their epoch";
const other = "a gap is never asked about";

/** In place of the simulation: a module whose `runSeed` does `body`, with `seed` and `compareTerms` at hand. */
function standIn(body: string): URL {
  const program = `import { compareTerms } from ${JSON.stringify(new URL("federation/replication/core/replica-state.ts", root).href)};
    export async function runSeed(seed) { ${body} }`;
  return new URL(`data:text/javascript,${encodeURIComponent(program)}`);
}

const comparing = standIn(`
  const isWrong = seed >= 3 && compareTerms({ epoch: 1, term: 9 }, { epoch: 2, term: 1 }) > 0;
  return { violations: isWrong ? ["an earlier epoch is later"] : [] };`);

it("a planted bug is caught by the first seed that shows it, and one that nothing shows by none", async () => {
  const results = await runMutants({ known: {}, seeds: [1, 2, 3, 4], names: [planted, other], simulation: comparing }, never);
  expect(results).toHaveLength(2);
  expect(results).toContainEqual({ mutant: planted, caughtBySeed: 3, what: "an earlier epoch is later" });
  expect(results).toContainEqual({ mutant: other, caughtBySeed: null, what: "" });
  const lines = describeMutants(results).split("\n");
  expect(lines).toContain(`${planted}  seed 3: an earlier epoch is later`);
  expect(lines).toContain(`${other.padEnd(planted.length)}  NOT CAUGHT`);
  expect(lines.at(-1)).toBe("2 mutants, 1 caught");
});

it("a bug by which a seed throws, or its process ends, is caught by that seed", async () => {
  const crashing = (how: string): URL => standIn(`if (compareTerms({ epoch: 1, term: 9 }, { epoch: 2, term: 1 }) > 0) { ${how} } return { violations: [] };`);
  const [thrown] = await runMutants({ known: {}, seeds: [7, 8], names: [planted], simulation: crashing('throw new Error("no way on");') }, never);
  expect(thrown).toEqual({ mutant: planted, caughtBySeed: 7, what: "the simulation failed: no way on" });
  const [ended] = await runMutants({ known: {}, seeds: [7, 8], names: [planted], simulation: crashing('console.error("an assertion"); process.exit(3);') }, never);
  expect(ended).toEqual({ mutant: planted, caughtBySeed: 7, what: "crashes: an assertion" });
});

it("a seed that fails without the bug, too, catches nothing: it is an error that names the seed", async () => {
  const failing = standIn('return { violations: seed === 2 ? ["something else"] : [] };');
  await expect(runMutants({ known: {}, seeds: [1, 2, 3], names: [other], simulation: failing }, never)).rejects.toThrow("seed 2 fails without a mutant, too: something else");
});

it("a simulation that cannot be read is an error, and no catch", async () => {
  await expect(runMutants({ known: {}, seeds: [1], names: [other], simulation: new URL("none.ts", import.meta.url) }, never)).rejects.toThrow(`mutant ${other} did not begin`);
});
