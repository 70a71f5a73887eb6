import { stripTypeScriptTypes } from "node:module";
import { expect, it } from "vitest";
import { editsOf, withEdit } from "./mutant.ts";
import { catchingSeeds } from "./catching-seeds.ts";
import { mutants } from "./mutants.ts";
import { plantedSources } from "./plant.ts";

it.each(mutants)("a planted bug has its place in the product, and what it makes of it can be read: $name", (mutant) => {
  expect(editsOf(mutant).every(({ find, replace }) => find !== replace)).toBe(true);
  const sources = plantedSources(mutant);
  expect(sources.size).toBeGreaterThan(0);
  for (const source of sources.values()) expect(() => stripTypeScriptTypes(source)).not.toThrow();
});

it("there are as many planted bugs as were promised, each under a name of its own", () => {
  expect(new Set(mutants.map(({ name }) => name)).size).toBe(mutants.length);
  expect(mutants.length).toBeGreaterThanOrEqual(25);
});

it("a seed that is known to catch a bug is written down for each, and for nothing else", () => {
  expect(Object.keys(catchingSeeds).toSorted()).toEqual(mutants.map(({ name }) => name).toSorted());
});

it("a text that is not there, or is there twice, is an error that names the mutant and the file", () => {
  const edit = { file: "some/file.ts", find: "act();", replace: "" };
  expect(withEdit("before(); act(); after();", edit, "it does nothing")).toBe("before();  after();");
  expect(() => withEdit("rest();", edit, "it does nothing")).toThrow("mutant it does nothing: some/file.ts has not the text");
  expect(() => withEdit("act(); act();", edit, "it does nothing")).toThrow("mutant it does nothing: some/file.ts has the text that it replaces 2 times");
});
