import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { parseYaml } from "#federation/model/parse/parse-yaml.ts";
import { readConfigFile, type Field } from "#federation/runtime/config.ts";
import { proxyConfigField } from "#proxy/config.ts";
import { readDirectory } from "#services/cli/plane-directory.ts";
import { clusterConfigField } from "#services/cluster/config.ts";
import { globalConfigField } from "#services/global/config.ts";
import { engineFiles } from "./infra-example.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));
const filesIn = (folder: string): readonly string[] => readdirSync(join(root, folder)).map((name) => join(root, folder, name));

describe("the examples in infra/", () => {
  it("configure the engines as `atoll up --engines` does", () => {
    expect(engineFiles().size).toBe(4);
    for (const [path, text] of engineFiles()) expect(readFileSync(join(root, path), "utf8"), `${path}; node e2e/layers/write-infra.ts writes it`).toBe(text);
  });

  it("configure planes and proxies with fields that exist", () => {
    const planes = filesIn("infra/planes");
    const proxies = filesIn("infra/proxies");
    expect([planes.length, proxies.length]).toEqual([3, 4]);
    const fieldOf = (path: string): Field<unknown> => (path.endsWith("/global.json") ? globalConfigField : clusterConfigField);
    for (const path of planes) expect(readConfigFile(path, fieldOf(path)), path).toBeDefined();
    for (const path of proxies) expect(readConfigFile(path, proxyConfigField), path).toMatchObject({ name: expect.stringMatching(/./) as string });
  });

  it("name the planes for the command line", () => {
    const directory = readDirectory(join(root, "infra/context.json"));
    expect(directory.clusters).toEqual(["shop-eu", "shop-us"]);
    expect(directory.signerOf("shop.example")).toBe("shop-eu");
  });

  it("hold resources without a fault", () => {
    const outcomes = filesIn("infra/resources").map((path) => parseYaml(readFileSync(path, "utf8"), path));
    expect(outcomes.flatMap((outcome) => (outcome.kind === "faults" ? outcome.faults : []))).toEqual([]);
    expect(outcomes.flatMap((outcome) => (outcome.kind === "parsed" ? outcome.resources : [])).length).toBe(7);
  });

  it("start programs that are there", () => {
    const started = filesIn("infra/systemd").flatMap((path) => [...readFileSync(path, "utf8").matchAll(/\/opt\/atoll\/(\S+\.ts)/g)].map((match) => match[1] ?? ""));
    expect(started.length).toBe(3);
    for (const path of started) expect(readFileSync(join(root, path), "utf8")).toContain("runProcess(");
  });
});
