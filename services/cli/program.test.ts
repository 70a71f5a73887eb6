import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { spawnSync } from "node:child_process";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { completionScript, completionTable } from "./commands/completion.ts";
import { parseKindAndName, parseKindName, pathFor } from "./commands/kind-names.ts";
import { parseTimeoutSeconds } from "./duration.ts";
import { parseLifeSeconds } from "./life-seconds.ts";
import { parseTokenPurpose } from "./commands/token-purpose.ts";
import { createProgram } from "./program.ts";

const main = fileURLToPath(new URL("main.ts", import.meta.url));
const example = fileURLToPath(new URL("../../infra/federation.yaml", import.meta.url));
let directory = "";
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), "atoll-cli-"));
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

function atoll(...args: readonly string[]): { readonly code: number | null; readonly out: string; readonly err: string } {
  const { status, stdout, stderr } = spawnSync(process.execPath, [main, "--data", join(directory, "federation"), ...args], { encoding: "utf8", env: { ...process.env, NO_COLOR: "1" } });
  return { code: status, out: stdout, err: stderr };
}

describe("bad arguments", () => {
  it.each([
    [["frobnicate"], "unknown command"],
    [["token", "create", "gateway", "--cluster", "shop-eu", "--uses", "1001"], "1001"],
    [["token", "create", "gateway", "--cluster", "shop-eu", "--cidr", "10.0.0.0/8"], "say how many with --uses"],
    [["token", "create", "gateway", "--cluster", "shop-eu", "--life", "24h"], "--uses makes one that lives longer"],
    [["token", "create", "gateway", "--uses", "3"], "say by which with --cluster"],
    [["up", "--port-base", "ninety"], "whole number"],
    [["up", "--engines", "redis"], "etcd,nats"],
    [["up", "--engines", "etcd,nats", "--members", "2"], "there is 1 or 3"],
    [["-o", "xml", "status"], "Allowed choices"],
    [["explain", "web/storefront"], "--from"],
    [["drill", "run", "flood", "--region", "eu-west"], "there is region-loss"],
    [["--name", "Ünfug", "down"], "--name"],
    [["completion", "tcsh"], "bash, zsh, fish"],
    [["secure-engines"], "a federation's FILE, or"],
    [["secure-engines", "f.yaml", "--configs", "planes"], "a federation's FILE, or"],
    [["secure-engines", "--configs", "planes", "--region", "eu-west"], "--region is a region of a federation's FILE"],
    [["secure-engines", example, "--region", "mars"], "--region mars: planes have their stores in the etcds of eu-west, us-east"],
    [["secure-engines", example, "--keys", "nowhere"], "holds no certificate of etcd's administrator"],
    [["rollback", "policy"], "expected KIND/NAME"],
    [["rollback", "service/web/a"], "--cluster"],
    [["rollback", "si/web/a.shop-eu"], "is derived"],
    [["rollback", "tp/web/a", "--list", "--to", "3"], "--list writes nothing"],
    [["wait", "policy"], "expected KIND/NAME"],
    [["wait", "region/eu/west"], "a Region is named name"],
    [["wait", "service/web/a"], "--cluster"],
    [["wait", "si/web/a.shop-eu"], "is derived"],
    [["wait", "region/eu-west", "--timeout", "0s"], "1s to 24h"],
    [["apply", "-f", "x.yaml", "--wait", "--dry-run"], "--dry-run"],
    [["apply", "-f", "x.yaml", "--timeout", "5s"], "--timeout is for --wait"],
    [["delete", "region", "eu-west", "--wait", "--dry-run"], "--dry-run"],
    [["delete", "region", "eu-west", "--timeout", "5s"], "--timeout is for --wait"],
  ])("%j end with exit code 2 and say what is wrong", (args, message) => {
    const { code, err, out } = atoll(...args);
    expect(err).toContain(message);
    expect(code).toBe(2);
    expect(out).toBe("");
  });

  it("name file, line and column of every fault of a resource", () => {
    const file = join(directory, "bad.yaml");
    writeFileSync(file, "apiVersion: atoll.dev/v1alpha1\nkind: Region\nmetadata:\n  name: eu-west\nspec:\n  displayNam: x\n");
    const { code, err } = atoll("apply", "-f", file);
    expect(err).toContain(`${file}:6:3`);
    expect(err).toContain("displayNam");
    expect(code).toBe(2);
  });
});

describe("a federation's file", () => {
  const spec = "apiVersion: atoll.dev/v1alpha1\nkind: Federation\nmetadata: { name: f }\nspec:\n  regions: [{ name: eu }]\n";
  const given = (text: string): string => {
    const file = join(directory, "federation.yaml");
    writeFileSync(file, spec + text);
    return file;
  };

  it.each([
    ["  serices: []\n", ["up"], "federation.yaml:6:3: spec.serices: found an unknown field"],
    ["  services: [{ name: x, command: [x], directory: nowhere }]\n", ["up"], "the command of default/x is to run in"],
    ["", ["up", "--members", "3"], "--members is how many of each engine there are"],
    ["", ["up", "--rate", "20"], "--rate is for the demonstration's users"],
    ["  engines: { kind: embedded }\n", ["up", "--engines", "etcd,nats"], "spec.engines.kind: embedded"],
    ["", ["bootstrap", "--out", "nowhere"], "spec.hosts says where things stand"],
    ["  region: x\n", ["bootstrap", "--out", "nowhere"], "federation.yaml:6:3: spec.region"],
  ])("that says %j is refused by %j with exit code 2", (text, args, message) => {
    const { code, err, out } = atoll(...args, given(text));
    expect(err).toContain(message);
    expect(code).toBe(2);
    expect(out).toBe("");
  });
});

describe("a federation that is not there", () => {
  it("is named with its code and what to do, with exit code 1", () => {
    const { code, err } = atoll("status");
    expect(err).toMatch(/^error ATOLL_FEDERATION_NOT_RUNNING: .*\nWhat to do: .*atoll up/);
    expect(code).toBe(1);
  });

  it("needs no ending", () => {
    expect(atoll("down")).toMatchObject({ code: 0, out: expect.stringContaining("nothing to end") as string });
    expect(atoll("down", "-o", "json")).toMatchObject({ code: 0, out: expect.stringContaining('"ended": 0') as string });
  });
});

describe("a federation elsewhere", () => {
  const contextWith = (content: unknown): string => {
    const file = join(directory, "context.json");
    writeFileSync(file, JSON.stringify(content));
    return file;
  };

  it("is refused with every fault when its context cannot be understood", () => {
    const file = contextWith({ admin: "admin-context.json", planes: { "shop-eu": "10.1.0.10" }, sigers: {} });
    const { code, err } = atoll("--context", file, "get", "regions");
    expect(err).toContain("host:port");
    expect(err).toContain("sigers");
    expect(code).toBe(2);
    expect(atoll("--context", join(directory, "absent.json"), "status")).toMatchObject({ code: 2, err: expect.stringContaining("cannot be read") as string });
  });

  it("has the planes that the context names, and no layout", () => {
    const file = contextWith({ admin: "admin-context.json", planes: { "shop-eu": "10.1.0.10:7420" } });
    expect(atoll("--context", file, "token", "create", "gateway", "--cluster", "shop-us").err).toContain("there is no cluster shop-us; there are shop-eu");
    expect(atoll("--context", file, "explain", "web/catalog", "--from", "eu-west").err).toContain("name one with --cluster");
    expect(atoll("--context", file, "relationship", "approve", "r", "--as", "shop.example").err).toContain("no signer of trust domain shop.example");
  });
});

describe("help and version", () => {
  it("go to standard output with exit code 0", () => {
    expect(atoll("--help")).toMatchObject({ code: 0, err: "" });
    expect(atoll("drill", "run", "--help").out).toContain("--outage");
    expect(atoll("version").out).toMatch(/^atoll \d+\.\d+\.\d+ \(Node v\d+/);
  });
});

describe("names", () => {
  it("of kinds may be singular, plural or short, in any case", () => {
    expect(["Region", "regions", "RG"].map(parseKindName)).toEqual(["Region", "Region", "Region"]);
    expect(() => parseKindName("pods")).toThrow(expect.objectContaining({ code: "ATOLL_USAGE" }));
  });

  it("of resources have a namespace exactly where the kind has one", () => {
    expect(pathFor("Service", "web/catalog")).toEqual({ namespace: "web", name: "catalog" });
    expect(pathFor("Region", "eu-west")).toEqual({ name: "eu-west" });
    for (const [kind, text] of [["Service", "catalog"], ["Region", "web/eu"], ["Service", "a/b/c"], ["Service", "/b"], ["Service", "a/"], ["Region", ""]] as const) {
      expect(() => pathFor(kind, text), text).toThrow(expect.objectContaining({ code: "ATOLL_USAGE" }));
    }
  });

  it("of lives are read in seconds, minutes, hours and days, up to ninety days", () => {
    expect(["90s", "90", "30m", "24h", "90d"].map(parseLifeSeconds)).toEqual([90, 90, 1_800, 86_400, 7_776_000]);
    for (const text of ["", "9s", "91d", "1.5h", "-1h", "soon", "h", "1w", "99999999d"]) expect(() => parseLifeSeconds(text), text).toThrow("such as 30m or 24h");
  });

  it("of a kind and a resource stand in one word", () => {
    expect(parseKindAndName("tp/web/slow")).toEqual({ kind: "TrafficPolicy", path: { namespace: "web", name: "slow" } });
    expect(parseKindAndName("region/eu-west")).toEqual({ kind: "Region", path: { name: "eu-west" } });
    for (const text of ["", "region", "region/", "/eu-west", "region/a/b", "pods/a"]) expect(() => parseKindAndName(text), text).toThrow(expect.objectContaining({ code: "ATOLL_USAGE" }));
  });

  it("of waits are read in seconds, minutes and hours, up to a day", () => {
    expect(["1s", "60", "5m", "24h"].map(parseTimeoutSeconds)).toEqual([1, 60, 300, 86_400]);
    for (const text of ["", "0s", "25h", "1.5m", "-1s", "soon"]) expect(() => parseTimeoutSeconds(text), text).toThrow("such as 60s or 5m");
  });

  it("of tokens say what they are for", () => {
    expect(parseTokenPurpose("workload:web/edge")).toEqual({ kind: "workload", namespace: "web", serviceAccount: "edge" });
    expect(parseTokenPurpose("cluster:shop-eu")).toEqual({ kind: "cluster", cluster: "shop-eu" });
    expect(parseTokenPurpose("gateway")).toEqual({ kind: "gateway" });
    for (const text of ["", "workload", "workload:web", "workload:a/b/c", "gateway:x", "cluster:", "admin:x"]) expect(() => parseTokenPurpose(text), text).toThrow(expect.objectContaining({ code: "ATOLL_USAGE" }));
  });
});

describe("completion", () => {
  const table = completionTable(createProgram({ version: "1", createContext: () => { throw new Error("no command runs here"); }, setExitCode: () => {} }));

  it("knows every command and option by its path", () => {
    expect(table.get("")).toEqual(expect.arrayContaining(["up", "down", "explain", "--name", "--output"]));
    expect(table.get("drill run")).toEqual(expect.arrayContaining(["--region", "--report", "--data"]));
  });

  it("completes in bash as far as the command has come", () => {
    const complete = (line: string): string[] => {
      const words = line.split(" ");
      const script = `${completionScript("bash", table)}\nCOMP_WORDS=(${words.map((word) => `'${word}'`).join(" ")}); COMP_CWORD=${words.length - 1}; _atoll; printf '%s\\n' "\${COMPREPLY[@]}"`;
      return spawnSync("bash", ["-c", script], { encoding: "utf8" }).stdout.trim().split("\n");
    };
    expect(complete("atoll dr")).toEqual(["drill"]);
    expect(complete("atoll --name x drill ru")).toEqual(["run"]);
    expect(complete("atoll drill run --reg")).toEqual(["--region"]);
  });

  it("has a script for each shell", () => {
    expect(completionScript("zsh", table)).toMatch(/^#compdef atoll\n/);
    expect(completionScript("fish", table)).toContain("complete -c atoll");
  });
});
