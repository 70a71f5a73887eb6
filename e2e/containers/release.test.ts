import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { home } from "../harness/test-federation.ts";

const directory = mkdtempSync(join(tmpdir(), "atoll-release-"));
const env = { ...process.env, SOURCE_DATE_EPOCH: "1700000000" };
afterAll(() => rmSync(directory, { recursive: true, force: true }));

/** What `docker save` would write of an image of one layer that holds `text`, built at `atSeconds`. */
function savedImage(name: string, text: string, atSeconds: number): string {
  const saved = join(directory, name);
  mkdirSync(join(saved, "tree/opt"), { recursive: true });
  mkdirSync(join(saved, `layer-${name}`));
  writeFileSync(join(saved, "tree/opt/program"), text);
  for (const path of ["tree/opt/program", "tree/opt", "tree"]) utimesSync(join(saved, path), atSeconds, atSeconds);
  execFileSync("tar", ["-c", "-f", join(saved, `layer-${name}/layer.tar`), "-C", join(saved, "tree"), "opt"]);
  const created = new Date(atSeconds * 1_000).toISOString();
  const config = { created, container: name, container_config: { Hostname: name }, config: { User: "10001:10001", Image: name }, history: [{ created, created_by: "COPY" }], rootfs: { type: "layers", diff_ids: [name] } };
  writeFileSync(join(saved, "config.json"), JSON.stringify(config));
  writeFileSync(join(saved, "manifest.json"), JSON.stringify([{ Config: "config.json", RepoTags: ["atoll:1"], Layers: [`layer-${name}/layer.tar`] }]));
  return saved;
}

/** Every file that the release writes of it, by name. */
function steady(name: string, text: string, atSeconds: number): ReadonlyMap<string, string> {
  const target = join(directory, `${name}-out`);
  execFileSync(process.execPath, [join(home, "infra/release/steady-image.cjs"), savedImage(name, text, atSeconds), target], { env });
  return new Map(readdirSync(target).map((file) => [file, readFileSync(join(target, file)).toString("base64")]));
}

/** A bill of materials as npm prints it, but for its random number and time. */
function steadySbom(serialNumber: string, timestamp: string): string {
  const document = { bomFormat: "CycloneDX", serialNumber, metadata: { timestamp }, components: [{ name: "zod" }] };
  return execFileSync(process.execPath, [join(home, "infra/release/steady-sbom.cjs")], { env, input: JSON.stringify(document), encoding: "utf8" });
}

// The scripts pack with GNU tar, as Linux has it.
describe.skipIf(process.platform !== "linux")(`a release${process.platform === "linux" ? "" : " (left out: it is made on Linux)"}`, () => {
  it("has the same image of the same content, whenever it was built, and another of other content", () => {
    const first = steady("first", "one", 1_600_000_000);
    expect(first.size).toBe(3);
    expect(steady("second", "one", 1_650_000_000)).toEqual(first);
    expect(steady("third", "two", 1_600_000_000)).not.toEqual(first);
  });

  it("has the same bill of materials, whenever it was made", () => {
    const first = steadySbom("urn:uuid:1", "2026-01-01T00:00:00Z");
    expect(first).toContain('"zod"');
    expect(steadySbom("urn:uuid:2", "2026-02-02T00:00:00Z")).toBe(first);
  });
});
