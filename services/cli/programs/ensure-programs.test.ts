import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { builtFolder, builtName } from "#federation/runtime/installation.ts";
import { builtProgram, currentProgram } from "./built-program.ts";
import { ensurePrograms } from "./ensure-programs.ts";
import { programSources } from "./program-sources.ts";
import { manifestName } from "./programs-manifest.ts";

const root = fileURLToPath(new URL("../../..", import.meta.url));

describe("programs in one file each", () => {
  let home: string;
  let builds: number;
  const sources = ["one/main.ts", "two/main.ts"];
  const ensure = async (of: readonly string[] = sources) => await ensurePrograms(home, of, () => builds++);
  const write = (path: string, text: string): void => {
    mkdirSync(dirname(join(home, path)), { recursive: true });
    writeFileSync(join(home, path), text);
  };
  const run = (source: string) => spawnSync(process.execPath, [builtProgram(home, join(home, source))], { encoding: "utf8" });
  const shared = (): readonly string[] => readdirSync(join(home, builtFolder, "shared")).toSorted();

  beforeEach(() => {
    home = mkdtempSync(join(tmpdir(), "atoll-programs-"));
    builds = 0;
    write("package.json", '{ "type": "module" }');
    write("package-lock.json", "{}");
    write("word.ts", 'export const word: string = "first";\n');
    for (const source of sources) write(source, 'import { word } from "../word.ts";\nprocess.stdout.write(`${word} ${import.meta.filename.endsWith(".js")}`);\n');
  });

  afterEach(() => {
    rmSync(home, { recursive: true, force: true });
  });

  it("are built once, and again only when a source, or the builder, says something else", async () => {
    expect(await ensure()).toEqual({ kind: "built" });
    expect(run("one/main.ts").stdout).toBe("first true");
    utimesSync(join(home, "word.ts"), new Date(), new Date());
    expect(await ensure()).toEqual({ kind: "current" });
    write("word.ts", 'export const word = "second";\n');
    expect(await ensure()).toEqual({ kind: "built" });
    expect(run("two/main.ts").stdout).toBe("second true");
    write("package-lock.json", '{ "packages": {} }');
    expect(await ensure()).toEqual({ kind: "built" });
    const manifest = join(home, manifestName);
    writeFileSync(manifest, readFileSync(manifest, "utf8").replace(/"builder":"\w+"/, '"builder":"another"'));
    expect(await ensure()).toEqual({ kind: "built" });
    expect(builds).toBe(4);
  });

  it("are run from their sources by who builds nothing, where these have changed since", async () => {
    const [source, bare] = [join(home, "one/main.ts"), join(home, "two/main.ts")];
    await ensure(["one/main.ts"]);
    expect([currentProgram(home, source), currentProgram(home, bare)]).toEqual([builtProgram(home, source), bare]);
    write("word.ts", 'export const word = "second";\n');
    expect(currentProgram(home, source)).toBe(source);
    rmSync(source);
    expect(currentProgram(home, source)).toBe(builtProgram(home, source));
  });

  it("keep what the build before the last one made, and nothing older", async () => {
    await ensure();
    const first = shared();
    write("word.ts", 'export const word = "second";\n');
    await ensure();
    const second = shared();
    expect(second).toEqual(expect.arrayContaining([...first]));
    expect(second.length).toBeGreaterThan(first.length);
    write("word.ts", 'export const word = "third";\n');
    await ensure();
    expect(shared()).toHaveLength(second.length);
    expect(shared()).not.toEqual(expect.arrayContaining([...first]));
  });

  it("run from their sources, with the reason, where they cannot be built; nothing older is taken for them", async () => {
    await ensure();
    write("word.ts", "export const = ;\n");
    expect(await ensure()).toMatchObject({ kind: "sources", reason: expect.stringContaining("word.ts") as string });
    expect(builtProgram(home, join(home, "one/main.ts"))).toBe(join(home, "one/main.ts"));
    write("word.ts", 'export const word = "mended";\n');
    expect(run("one/main.ts").stdout).toBe("mended false");
  });

  it("are only those of the installation", async () => {
    await ensure();
    expect(builtProgram(home, join(home, "one/main.ts"))).toBe(join(home, builtName("one/main.ts")));
    for (const other of [join(root, "one/main.ts"), join(home, "word.ts"), "--config", "/one/main.ts"]) expect(builtProgram(home, other)).toBe(other);
  });

  it("are all of Atoll's, and say what their sources say", async () => {
    for (const name of ["federation", "services", "proxy", "node_modules"]) symlinkSync(join(root, name), join(home, name));
    expect(await ensure(programSources)).toEqual({ kind: "built" });
    for (const source of programSources) expect(existsSync(join(home, builtName(source))), source).toBe(true);
    const { stderr, status } = run("proxy/main.ts");
    expect(stderr).toBe("ATOLL_CONFIG_INVALID: usage: proxy/main.ts --config FILE\n");
    expect(status).toBe(2);
    // What is loaded when it is asked for can be loaded, too.
    const parts = shared().map((name) => `await import(${JSON.stringify(join(home, builtFolder, "shared", name))});`);
    expect(parts.length).toBeGreaterThan(5);
    expect(spawnSync(process.execPath, ["--input-type=module", "--eval", `${parts.join("\n")}\nprocess.exit(0);`], { encoding: "utf8" })).toMatchObject({ status: 0, stderr: "" });
  }, 120_000);
});
