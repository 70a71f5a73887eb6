import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { parse } from "yaml";
import { parseYaml } from "#federation/model/parse/parse-yaml.ts";
import { readConfigFile, type Field } from "#federation/runtime/config.ts";
import { proxyConfigField } from "#proxy/config.ts";
import { readDirectory } from "#services/cli/plane-directory.ts";
import { clusterConfigField } from "#services/cluster/config.ts";
import { globalConfigField } from "#services/global/config.ts";
import { composeDirectory, composeFiles, exampleDirectory, exampleFiles } from "./infra-example.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));
const written = readdirSync(exampleDirectory, { recursive: true, encoding: "utf8" }).filter((path) => statSync(join(exampleDirectory, path)).isFile());
const matching = (pattern: RegExp): readonly string[] => written.filter((path) => pattern.test(path)).map((path) => join(exampleDirectory, path));

describe("the example in containers", () => {
  it("is what `atoll bootstrap --compose` makes of infra/compose/federation.yaml: `node e2e/layers/write-infra.ts` after a change", () => {
    const files = composeFiles();
    expect([...files.keys()].sort()).toEqual(["compose.sh", "compose.yaml"]);
    for (const [path, { text, isProgram }] of files) {
      expect(readFileSync(join(composeDirectory, path), "utf8"), path).toBe(text);
      expect((statSync(join(composeDirectory, path)).mode & 0o100) !== 0, path).toBe(isProgram);
    }
    expect(spawnSync("sh", ["-n", join(composeDirectory, "compose.sh")], { encoding: "utf8" })).toMatchObject({ status: 0, stderr: "" });
  });

  it("puts applications where their sidecars are", () => {
    const services = (name: string): Readonly<Record<string, { readonly network_mode?: string }>> => (parse(readFileSync(join(composeDirectory, name), "utf8"), { merge: true }) as { readonly services: Readonly<Record<string, { readonly network_mode?: string }>> }).services;
    const networksOf = (name: string, suffix: RegExp): readonly string[] => Object.entries(services(name)).flatMap(([service, { network_mode: mode }]) => (suffix.test(service) ? [mode ?? ""] : [])).sort();
    expect(networksOf("apps.yaml", /\.app$/)).toEqual(networksOf("compose.yaml", /-proxy$/));
    expect(networksOf("apps.yaml", /\.app$/).length).toBe(3);
  });
});

describe("the example in infra/", () => {
  it("is what `atoll bootstrap` makes of infra/federation.yaml: `node e2e/layers/write-infra.ts` after a change", () => {
    const files = exampleFiles();
    expect(written.sort()).toEqual([...files.keys()].sort());
    for (const [path, { text, isProgram }] of files) {
      expect(readFileSync(join(exampleDirectory, path), "utf8"), path).toBe(text);
      expect((statSync(join(exampleDirectory, path)).mode & 0o100) !== 0, path).toBe(isProgram);
    }
  });

  it("configures planes and proxies with fields that exist", () => {
    const planes = matching(/config\/(global|.*-plane)\.json$/);
    const proxies = matching(/config\/.*-(gateway|proxy)\.json$/);
    expect([planes.length, proxies.length]).toEqual([3, 4]);
    expect(matching(/\.json$/).length).toBe(8);
    const fieldOf = (path: string): Field<unknown> => (path.endsWith("/global.json") ? globalConfigField : clusterConfigField);
    for (const path of planes) expect(readConfigFile(path, fieldOf(path)), path).toBeDefined();
    for (const path of proxies) expect(readConfigFile(path, proxyConfigField), path).toMatchObject({ name: expect.stringMatching(/./) as string });
  });

  it("names the planes for the command line", () => {
    const directory = readDirectory(join(exampleDirectory, "context.json"));
    expect(directory.clusters).toEqual(["shop-eu", "shop-us"]);
    expect(directory.signerOf("shop.example")).toBe("shop-eu");
  });

  it("holds resources without a fault", () => {
    const outcomes = matching(/resources\//).map((path) => parseYaml(readFileSync(path, "utf8"), path));
    expect(outcomes.flatMap((outcome) => (outcome.kind === "faults" ? outcome.faults : []))).toEqual([]);
    expect(outcomes.flatMap((outcome) => (outcome.kind === "parsed" ? outcome.resources : [])).length).toBe(7);
  });

  it("starts programs that are there", () => {
    const started = matching(/systemd\//).flatMap((path) => [...readFileSync(path, "utf8").matchAll(/\/opt\/atoll\/(\S+\.ts)/g)].map((match) => match[1] ?? ""));
    expect(new Set(started).size).toBe(3);
    for (const path of new Set(started)) expect(readFileSync(join(root, path), "utf8")).toContain("runProcess(");
  });

  it("starts programs that are there from an image too", () => {
    const entrypoint = readFileSync(join(root, "infra/images/entrypoint"), "utf8");
    const started = [...entrypoint.matchAll(/exec node (?:--\S+ )*(\S+\.ts)/g)].map((match) => match[1] ?? "");
    expect(started).toEqual(["services/global/main.ts", "services/cluster/main.ts", "proxy/main.ts", "services/bus/main.ts", "services/cli/main.ts"]);
    for (const path of started) expect(existsSync(join(root, path)), path).toBe(true);
  });

  it("has scripts that a plain shell can read", () => {
    const scripts = matching(/install\.sh$/);
    expect(scripts.length).toBe(4);
    for (const script of scripts) expect(spawnSync("sh", ["-n", script], { encoding: "utf8" }), script).toMatchObject({ status: 0, stderr: "" });
  });
});
