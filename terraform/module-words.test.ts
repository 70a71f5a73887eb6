import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";

interface Schema {
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly items?: Schema;
}

const home = join(import.meta.dirname, "..");
const schema = JSON.parse(readFileSync(join(home, "docs/schemas/Federation.json"), "utf8")) as Schema;
const variables = readFileSync(join(home, "terraform/modules/federation/variables.tf"), "utf8");

/** What has no meaning where everything stands on one machine. */
const ofMachines = new Set(["attestation", "hosts", "engines", "gateways", "global", "host"]);

/** Every word that a federation's file may say, below `spec`. */
function wordsOf(part: Schema | undefined): readonly string[] {
  const below = Object.entries(part?.properties ?? {}).filter(([name]) => !ofMachines.has(name));
  return below.flatMap(([name, its]) => (name === "policies" ? [name] : [name, ...wordsOf(its), ...wordsOf(its.items)]));
}

// Terraform drops what an object's type does not have, without a word.
describe("the module `federation`", () => {
  it("knows every word of a federation's file", () => {
    const words = [...new Set(wordsOf(schema.properties?.["spec"]))];
    expect(words).toEqual(expect.arrayContaining(["regions", "tcpUpstreams", "localPort", "principals", "ratePerSecond"]));
    // `env` takes any, and holds none of its own.
    expect(words.filter((word) => !new RegExp(`\\b${word}\\s*=`).test(variables))).toEqual([]);
  });
});
