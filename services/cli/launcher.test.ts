import { chmodSync, existsSync, mkdirSync, mkdtempSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";

const load = createRequire(import.meta.url);
const { ensureInstalled } = load("../../bin/ensure-installed.cjs") as { readonly ensureInstalled: (root: string, install: (root: string) => void) => string };
const { readCounts } = load("../../bin/run-tests.cjs") as { readonly readCounts: (project: string, file: string, status: number) => { passed: number; failed: number; failures: readonly string[]; left: readonly string[] } };

let root = "";
let installs = 0;

function install(): void {
  installs++;
  putNode("v24.21.0");
}

function putNode(version: string): void {
  const bin = join(root, "node_modules", "node", "bin");
  mkdirSync(bin, { recursive: true });
  writeFileSync(join(bin, "node"), `#!/bin/sh\necho ${version}\n`);
  chmodSync(join(bin, "node"), 0o755);
}

describe("ensure-installed", () => {
  beforeEach(() => {
    root = mkdtempSync(join(tmpdir(), "atoll-install-"));
    installs = 0;
    writeFileSync(join(root, "package-lock.json"), "{}");
  });
  afterEach(() => rmSync(root, { recursive: true, force: true }));

  it("installs when there is nothing, and then no more", () => {
    expect(ensureInstalled(root, install)).toBe("installed");
    expect(ensureInstalled(root, install)).toBe("current");
    expect(installs).toBe(1);
    expect(existsSync(join(root, "node_modules", ".atoll-installed"))).toBe(true);
  });

  it("installs again when the lock file has changed", () => {
    ensureInstalled(root, install);
    writeFileSync(join(root, "package-lock.json"), '{"changed":true}');
    expect(ensureInstalled(root, install)).toBe("installed");
    expect(installs).toBe(2);
  });

  it("takes an installation made by hand, and not one from before the lock file", () => {
    putNode("v24.21.0");
    const record = join(root, "node_modules", ".package-lock.json");
    writeFileSync(record, "{}");
    expect(ensureInstalled(root, install)).toBe("current");
    rmSync(join(root, "node_modules", ".atoll-installed"));
    utimesSync(record, 0, 0);
    expect(ensureInstalled(root, install)).toBe("installed");
  });

  it("says what to do when the pinned Node was not brought, or is too old", () => {
    expect(() => ensureInstalled(root, () => mkdirSync(join(root, "node_modules")))).toThrow(/npm rebuild node/);
    expect(() => ensureInstalled(root, () => putNode("v20.1.0"))).toThrow(/found Node 20/);
  });
});

describe("run-tests", () => {
  let directory = "";
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), "atoll-report-"));
  });
  afterEach(() => rmSync(directory, { recursive: true, force: true }));

  const report = (files: readonly object[], passed: number): string => {
    const file = join(directory, "r.json");
    writeFileSync(file, JSON.stringify({ testResults: files, numPassedTests: passed }));
    return file;
  };
  const test = (status: string, title = "engines", failureMessages: readonly string[] = []): object => ({ status, title: "t", ancestorTitles: [title], failureMessages });

  it("counts tests, and names suites that were left out", () => {
    const file = report([{ name: "/x/a.test.ts", status: "passed", assertionResults: [test("passed"), test("skipped", "etcd is not there")] }], 1);
    const counts = readCounts("unit", file, 0);
    expect(counts).toMatchObject({ passed: 1, failed: 0, failures: [] });
    expect(counts.left[0]).toContain("1 not run (etcd is not there)");
  });

  it("names each test that failed, with the first line of why and without colours", () => {
    const file = report([{ name: "/x/a.test.ts", status: "failed", assertionResults: [test("passed"), test("failed", "a store", ["\u001B[31mError: gone\u001B[39m\n    at x"])] }], 1);
    const counts = readCounts("unit", file, 1);
    expect(counts).toMatchObject({ passed: 1, failed: 1 });
    expect(counts.failures[0]).toMatch(/a\.test\.ts > a store > t: Error: gone$/);
  });

  it("counts a file that could not be loaded, an error outside any test, and a run without a report as failures", () => {
    const broken = report([{ name: "/x/a.test.ts", status: "failed", message: "SyntaxError: no\nmore", assertionResults: [] }], 3);
    const counts = readCounts("unit", broken, 1);
    expect(counts).toMatchObject({ passed: 3, failed: 1 });
    expect(counts.failures[0]).toMatch(/a\.test\.ts: SyntaxError: no$/);
    const unhandled = report([], 3);
    expect(readCounts("unit", unhandled, 1)).toMatchObject({ failed: 1, failures: ["unit: an error outside its tests (exit code 1)"] });
    expect(readCounts("unit", join(directory, "nowhere.json"), 1)).toMatchObject({ passed: 0, failed: 1 });
  });
});
