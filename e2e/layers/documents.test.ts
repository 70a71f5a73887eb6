import { existsSync, readFileSync, readdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { parseFederation } from "#federation/model/parse/parse-federation.ts";
import { parseYaml } from "#federation/model/parse/parse-yaml.ts";
import { completionTable } from "#services/cli/commands/completion.ts";
import { createProgram } from "#services/cli/program.ts";
import { readSources } from "./import-graph.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));
const topFolders = ["bin", "docs", "e2e", "federation", "infra", "proxy", "services", "terraform"];
const markdownIn = (folder: string): readonly string[] =>
  readdirSync(join(root, folder), { recursive: folder === "docs", encoding: "utf8" })
    .filter((name) => name.endsWith(".md"))
    .map((name) => (folder === "." ? name : `${folder}/${name}`));
const documents = [".", ...topFolders].flatMap(markdownIn).map((path) => ({ path, text: readFileSync(join(root, path), "utf8") }));

/** Paths of this repository among the words in backticks; a pattern or an ellipsis is none. */
function pathsIn(text: string): readonly string[] {
  return [...text.matchAll(/`([^`\n]+)`/g)]
    .flatMap((match) => (match[1] ?? "").split(/[\s,|]+/))
    .filter((word) => topFolders.some((folder) => word.startsWith(`${folder}/`)) && !/[*{}<>…$]/.test(word));
}

/** Targets of links that stay in the repository, as paths from its root. */
function linksIn({ path, text }: { readonly path: string; readonly text: string }): readonly string[] {
  return [...text.matchAll(/\]\(([^)#\s]+)[^)]*\)/g)].map((match) => match[1] ?? "").filter((target) => !/^[a-z]+:/.test(target)).map((target) => join(dirname(path), target));
}

/** Files of tests that a document names, each with the titles in quotation marks that follow it, within one cell of a table. */
function testsIn(text: string): readonly { readonly name: string; readonly titles: readonly string[] }[] {
  const cells = text.split("\n").flatMap((line) => line.split(" | "));
  return cells.flatMap((cell) =>
    [...cell.matchAll(/`([^`]+(?:\.test|-contract|\.fuzz)\.ts)`((?:,? "[^"]+")*)/g)].map(([, name = "", titles = ""]) => ({ name, titles: [...titles.matchAll(/"([^"]+)"/g)].map((match) => match[1] ?? "") })),
  );
}

describe("documents", () => {
  it("are all seen", () => {
    const paths = documents.map((document) => document.path);
    expect(paths).toEqual(expect.arrayContaining(["README.md", "CHANGELOG.md", "docs/architecture.md", "docs/adr/0001-demo-and-bus-services.md", ...["federation", "services", "proxy", "e2e", "infra", "terraform"].map((folder) => `${folder}/README.md`)]));
  });

  it("name only files and folders that exist", () => {
    // A superseded decision speaks of what was there when it was made.
    const present = documents.filter(({ text }) => !/^Superseded by /m.test(text));
    const missing = present.flatMap(({ path, text }) => pathsIn(text).filter((name) => !existsSync(join(root, name))).map((name) => `${path}: ${name}`));
    expect(missing).toEqual([]);
    expect(documents.flatMap(({ text }) => pathsIn(text)).length).toBeGreaterThan(80);
  });

  it("link only to what exists", () => {
    expect(documents.flatMap((document) => linksIn(document).filter((target) => !existsSync(join(root, target))).map((target) => `${document.path}: ${target}`))).toEqual([]);
  });

  it("cite tests that there are, by titles that they have", () => {
    const sources = readSources(root, ["federation", "services", "proxy", "e2e"]);
    const cited = ["docs/promises.md", "docs/replication.md"].flatMap((path) => testsIn(documents.find((document) => document.path === path)?.text ?? ""));
    expect(cited.flatMap(({ titles }) => titles).length).toBeGreaterThan(20);
    const wrong = cited.flatMap(({ name, titles }) => {
      const files = sources.filter(({ path }) => path === name || path.endsWith(`/${name}`));
      if (files.length !== 1) return [`${name}: ${String(files.length)} files`];
      return titles.filter((title) => files[0]?.text.includes(title) !== true).map((title) => `${name}: ${title}`);
    });
    expect(wrong).toEqual([]);
  });

  it("name in the architecture's walks only functions and classes that the source has", () => {
    const text = documents.find(({ path }) => path === "docs/architecture.md")?.text ?? "";
    const source = readSources(root, ["federation", "services", "proxy"]).map((file) => file.text).join("\n");
    const names = [...text.matchAll(/`([A-Za-z][A-Za-z0-9]*(?:\.[a-z][A-Za-z0-9]*)?)`/g)].map((match) => match[1] ?? "").filter((name) => /[a-z][A-Z]|\.|^[A-Z]/.test(name));
    expect(names.length).toBeGreaterThan(50);
    expect(names.flatMap((name) => name.split(".")).filter((name) => !new RegExp(`\\b${name}\\b`).test(source))).toEqual([]);
  });
});

const readme = documents.find(({ path }) => path === "README.md")?.text ?? "";

describe("the README", () => {
  it("shows resources and federations without a fault, as does the page on the latter", () => {
    const page = documents.find(({ path }) => path === "docs/federation-file.md")?.text ?? "";
    const blocks = [readme, page].flatMap((text) => [...text.matchAll(/```yaml\n([\s\S]*?)```/g)].map((match) => match[1] ?? ""));
    const isFederation = (block: string): boolean => /^kind: Federation$/m.test(block);
    expect(blocks.filter(isFederation).length).toBeGreaterThan(2);
    expect(blocks.length).toBeGreaterThan(blocks.filter(isFederation).length);
    for (const block of blocks) expect(isFederation(block) ? parseFederation(block, "a document") : parseYaml(block, "a document")).toMatchObject({ kind: "parsed" });
  });

  it("uses only commands and options that `atoll` has", () => {
    const table = completionTable(createProgram({ version: "1", createContext: () => { throw new Error("no command runs here"); }, setExitCode: () => {} }));
    const lines = [...readme.matchAll(/npx atoll ([^`\n#>|"]+)/g)].map((match) => (match[1] ?? "").trim().split(/\s+/));
    expect(lines.length).toBeGreaterThan(10);
    for (const words of lines) {
      const options = words.filter((word) => word.startsWith("--"));
      const rest = words.filter((word, index) => !word.startsWith("-") && !["--context", "--name"].includes(words[index - 1] ?? ""));
      const [first = "", second = ""] = rest;
      const path = table.has(`${first} ${second}`) ? `${first} ${second}` : first;
      expect([...table.keys()], words.join(" ")).toContain(path);
      expect(table.get(path), words.join(" ")).toEqual(expect.arrayContaining(options));
    }
  });
});
