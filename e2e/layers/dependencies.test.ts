import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { readSources } from "./import-graph.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));
const manifest = JSON.parse(readFileSync(`${root}/package.json`, "utf8")) as Readonly<Record<"dependencies" | "devDependencies", Readonly<Record<string, string>>>>;
const document = readFileSync(`${root}/docs/dependencies.md`, "utf8");
const sources = readSources(root, ["federation", "services", "proxy", "terraform", "e2e"]);
const scripts = readFileSync(`${root}/package.json`, "utf8") + ["atoll", "ensure-installed", "run-tests"].map((name) => readFileSync(`${root}/bin/${name}.cjs`, "utf8")).join("");

/** Programs and types that no import names: how each of them is used instead. */
const usedWithoutImport: Readonly<Record<string, RegExp>> = {
  node: /"node_modules", "node", "bin"/,
  typescript: /"tsc -p \./,
  vitest: /vitest run/,
  oxlint: /"oxlint /,
  "oxlint-tsgolint": /--type-aware/,
};

/** The package that a specifier names: `a`, `@scope/a`, without what lies inside it. */
function packageOf(specifier: string): string {
  return specifier.split("/").slice(0, specifier.startsWith("@") ? 2 : 1).join("/");
}

/** Packages named by imports and by `resolve("…")` of a file inside a package. */
const imported = new Set(
  sources.flatMap(({ text }) => [...text.matchAll(/(?:\bfrom\s+|\bimport\(\s*|\bimport\s+|\brequire\(\s*|\bresolve\(\s*)["']([^"'.#][^"']*)["']/g)].map((match) => packageOf(match[1] ?? ""))),
);
/** The names in the first column of the document's tables. */
const documented = new Set([...document.matchAll(/^\| ([^|]+) \|/gm)].flatMap((match) => (match[1] ?? "").split(",").map((name) => name.trim())));
const names = [...Object.keys(manifest.dependencies), ...Object.keys(manifest.devDependencies)];

function isUsed(name: string): boolean {
  if (name === "@types/node") return sources.some(({ text }) => text.includes('from "node:'));
  if (name.startsWith("@types/")) return imported.has(name.slice("@types/".length));
  return imported.has(name) || usedWithoutImport[name]?.test(scripts) === true;
}

describe("dependencies", () => {
  it("are exact versions", () => {
    const loose = Object.entries({ ...manifest.dependencies, ...manifest.devDependencies }).filter(([, version]) => !/^\d+\.\d+\.\d+$/.test(version));
    expect(loose).toEqual([]);
  });

  it("are each used by something", () => {
    expect(names.length).toBeGreaterThan(10);
    expect(names.filter((name) => !isUsed(name))).toEqual([]);
  });

  it("have a line in docs/dependencies.md that says why, and only they have", () => {
    expect(names.filter((name) => !documented.has(name))).toEqual([]);
    expect([...documented].filter((name) => !names.includes(name) && name !== "package" && !name.startsWith("-"))).toEqual([]);
  });

  it("are declared when they are imported, and at run time when the product imports them", () => {
    const isProduct = (path: string): boolean => !path.startsWith("e2e/") && !/(\.test|\.fuzz|-contract|-fixtures?|\/build-[a-z-]+)\.ts$/.test(path);
    const used = new Set(
      sources.filter(({ path }) => isProduct(path)).flatMap(({ text }) => [...text.matchAll(/\bfrom\s+["']([^"'.#][^"']*)["']|\bimport\(\s*["']([^"'.#][^"']*)["']\s*\)/g)].map((match) => packageOf(match[1] ?? match[2] ?? ""))),
    );
    expect([...used].filter((name) => !name.startsWith("node:") && manifest.dependencies[name] === undefined)).toEqual([]);
  });
});
