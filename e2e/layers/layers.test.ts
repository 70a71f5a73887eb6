import { existsSync } from "node:fs";
import { basename } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { findCircle, readSources, type SourceFile } from "./import-graph.ts";
import { adapterFolders, bannedCalls, importTable, type ImportRule } from "./import-table.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));
const files = readSources(root, ["federation", "services", "proxy", "terraform", "e2e"]);
const isTest = (path: string): boolean => /(\.test|\.fuzz|-contract|\.bench|-fixtures?|-testbed|-harness)\.ts$/.test(path);
const product = files.filter((file) => !isTest(file.path));

function ruleFor(path: string): ImportRule | undefined {
  return importTable.find((rule) => path.startsWith(rule.from));
}

function allowed(file: SourceFile, target: string): boolean {
  const rule = ruleFor(file.path);
  if (rule === undefined) return false;
  // A main.ts wires its own tree to adapters of the federation; nothing else may.
  const isMain = file.path.endsWith("main.ts") && file.path.startsWith("services/");
  if (target.startsWith(rule.from)) return true;
  return rule.may.some((prefix) => target.startsWith(prefix)) || (isMain && target.startsWith("federation/"));
}

describe("the import table", () => {
  it("saw the source files of every folder", () => {
    for (const folder of ["federation/runtime/", "federation/model/", "federation/routing/", "services/cluster/", "proxy/"]) {
      expect(product.filter((file) => file.path.startsWith(folder)).length, folder).toBeGreaterThan(2);
    }
    expect(product.reduce((count, file) => count + file.imports.length, 0)).toBeGreaterThan(200);
  });

  it("knows every file", () => {
    expect(product.filter((file) => ruleFor(file.path) === undefined).map((file) => file.path)).toEqual([]);
  });

  it("is kept by every import, type-only ones too", () => {
    const breaches = product.flatMap((file) => file.imports.filter((target) => !allowed(file, target)).map((target) => `${file.path} -> ${target}`));
    expect(breaches).toEqual([]);
  });

  it("points only at files that exist", () => {
    const missing = files.flatMap((file) => file.imports.filter((target) => !existsSync(`${root}/${target}`)).map((target) => `${file.path} -> ${target}`));
    expect(missing).toEqual([]);
  });

  it("has no circle", () => {
    expect(findCircle(files)).toBeUndefined();
  });

  it("lets no adapter import another", () => {
    const breaches = adapterFolders.flatMap(({ folder, adapters }) => {
      const technology = (path: string): string | undefined => adapters.exec(path.slice(folder.length))?.[1];
      return product
        .filter((file) => file.path.startsWith(folder) && technology(file.path) !== undefined)
        .flatMap((file) =>
          file.imports
            .filter((target) => target.startsWith(folder) && technology(target) !== undefined && technology(target) !== technology(file.path))
            .map((target) => `${file.path} -> ${target}`),
        );
    });
    expect(breaches).toEqual([]);
  });

  it("keeps the pure cores free of I/O, clocks and async", () => {
    const breaches = product.filter((file) => ruleFor(file.path)?.pure === true && /\basync\b|\bawait\b|from "node:|new Promise\b/.test(file.text)).map((file) => file.path);
    expect(breaches).toEqual([]);
  });

  it("keeps zod out of the proxies", () => {
    const byPath = new Map(files.map((file) => [file.path, file]));
    const seen = new Set<string>();
    const visit = (path: string): void => {
      if (seen.has(path)) return;
      seen.add(path);
      for (const target of byPath.get(path)?.imports ?? []) visit(target);
    };
    for (const file of product) if (file.path.startsWith("proxy/")) visit(file.path);
    expect([...seen].filter((path) => /from "zod"/.test(byPath.get(path)?.text ?? ""))).toEqual([]);
  });

  it("loads the Workload API in those sidecars alone that serve it", () => {
    const served = "proxy/workload-api/workload-api.ts";
    const byPath = new Map(files.map((file) => [file.path, file]));
    const seen = new Set<string>();
    const visit = (path: string): void => {
      if (seen.has(path)) return;
      seen.add(path);
      const { imports = [], text = "" } = byPath.get(path) ?? {};
      const loaded = text.replaceAll(/^import type [^;]*;$/gm, "").replaceAll(/\bimport\([^)]*\)/g, "");
      for (const target of imports) if (loaded.includes(`/${basename(target)}"`)) visit(target);
    };
    visit("proxy/main.ts");
    expect(seen.has("proxy/workload-api/load-workload-api.ts") && seen.size > 100).toBe(true);
    expect([served, "federation/wire/spiffe-workload.ts"].filter((path) => !byPath.has(path) || seen.has(path))).toEqual([]);
  });
});

describe("time and chance", () => {
  it("are read only in federation/runtime", () => {
    const breaches = product
      .filter((file) => !file.path.startsWith("federation/runtime/") && !file.path.startsWith("e2e/"))
      .flatMap((file) => bannedCalls.filter((call) => call.pattern.test(file.text)).map((call) => `${file.path}: use ${call.instead}`));
    expect(breaches).toEqual([]);
  });
});

describe("the environment", () => {
  it("is read only by a main.ts", () => {
    const breaches = product.filter((file) => !file.path.startsWith("e2e/") && /\bprocess\.env\b/.test(file.text) && !file.path.endsWith("main.ts")).map((file) => file.path);
    expect(breaches).toEqual([]);
  });
});
