import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { parseYaml } from "./parse-yaml.ts";
import { formatFileFaults, yamlLimits } from "./yaml-document.ts";

const region = (name: string): string => `apiVersion: atoll.dev/v1alpha1\nkind: Region\nmetadata:\n  name: ${name}\nspec: {}\n`;

function faultsIn(text: string): string {
  const outcome = parseYaml(text, "f.yaml");
  return outcome.kind === "faults" ? formatFileFaults(outcome.faults) : "";
}

describe("a YAML file", () => {
  it("gives its resources in order with their lines, whatever lies empty between them", () => {
    const outcome = parseYaml(`# head\n${region("a")}---\n# nothing\n---\n${region("b")}---\n`, "f.yaml");
    expect(outcome.kind === "parsed" && outcome.resources.map(({ resource, line }) => `${resource.metadata.name} ${line}`)).toEqual(["a 2", "b 10"]);
  });

  it("may be JSON", () => {
    const outcome = parseYaml(JSON.stringify({ apiVersion: "atoll.dev/v1alpha1", kind: "Region", metadata: { name: "a" }, spec: {} }), "f.json");
    expect(outcome.kind).toBe("parsed");
  });

  it("tells every fault of every document with its place", () => {
    const text = `apiVersion: atoll.dev/v1alpha1
kind: Cluster
metadata:
  name: shop-eu
  colour: red
spec:
  region: EU West
  trustDomain: shop.example
  exportNamespaces: [web, web]
  gateways:
    - address: 10.0.0.256
      port: 70000
      port2: 1
---
apiVersion: v2
kind: Pod
`;
    expect(faultsIn(text).split("\n")).toEqual([
      "f.yaml:5:3: metadata.colour: found an unknown field, expected only fields of this kind",
      'f.yaml:7:11: spec.region: found "EU West", expected 1 to 63 of a-z, 0-9 and "-", beginning and ending with a letter or digit',
      "f.yaml:9:3: spec.exportNamespaces: found a list, expected entries that differ from each other",
      'f.yaml:11:16: spec.gateways[0].address: found "10.0.0.256", expected a DNS name in lower case or a literal IP address',
      "f.yaml:12:13: spec.gateways[0].port: found 70000, expected a port, 1 to 65535",
      "f.yaml:13:7: spec.gateways[0].port2: found an unknown field, expected only fields of this kind",
      'f.yaml:15:13: apiVersion: found "v2", expected atoll.dev/v1alpha1',
      expect.stringMatching(/^f\.yaml:16:7: kind: found "Pod", expected one of Region, Cluster/),
    ]);
  });

  it("tells of a missing field at the map that lacks it", () => {
    expect(faultsIn("apiVersion: atoll.dev/v1alpha1\nkind: Service\nmetadata: {name: a, namespace: b}\nspec:\n  ports:\n    - name: http\n      protocol: http\n  serviceAccounts: [a]\n")).toBe(
      "f.yaml:6:7: spec.ports[0].port: found nothing, expected a port, 1 to 65535",
    );
  });

  it.each([
    ["a key twice", "metadata:\n  name: a\n  name: b\n", /^f\.yaml:3:3: .*expected each key once$/],
    ["a tab as indentation", "a:\n\t- b\n", /^f\.yaml:2:1: .*Tabs/],
    ["an open quote", 'a: "b\n', /^f\.yaml:\d+:\d+: .*expected YAML 1.2$/],
    ["a tag of a language", "!!js/function 'x'\n", /^f\.yaml:1:1: .*expected YAML 1.2$/],
    ["a lone word", "hello\n", /^f\.yaml:1:1: found "hello", expected a resource/],
    ["an alias of nothing", "a: *b\n", /^f\.yaml:1:\d+: .*expected aliases that exist/],
    ["the same resource twice", `${region("a")}---\n${region("a")}`, /^f\.yaml:7:1: found Region a a second time, expected it once; the first is at line 1$/],
  ])("with %s is refused at its place", (_, text, expected) => {
    expect(faultsIn(text)).toMatch(expected);
  });

  it("with aliases that multiply is refused before they do", () => {
    const levels = ["a: &a [x, x, x, x, x, x, x, x, x]", ..."bcdefghi".split("").map((name, index) => `${name}: &${name} [${Array(9).fill(`*${"abcdefghi"[index]}`).join(", ")}]`)];
    expect(faultsIn(levels.join("\n"))).toMatch(/expected aliases that exist and stand for little$/);
  });

  it("that is too long, too deep or too many documents is refused", () => {
    expect(faultsIn("a".repeat(yamlLimits.characters + 1))).toMatch(/^f\.yaml:1:1: found \d+ characters, expected at most/);
    expect(faultsIn("---\na\n".repeat(yamlLimits.documents + 1))).toMatch(/documents, expected at most/);
    expect(faultsIn("[".repeat(200_000))).toMatch(/^f\.yaml:1:/);
  });

  it("never breaks the reader, whatever it holds", () => {
    const piece = fc.oneof(fc.string(), fc.constantFrom("a: ", "- ", "\n", "  ", "&a ", "*a ", "---\n", "{", "}", "[", "]", "!!map ", "? ", "| ", '"', "<<: ", "kind: Region\n", "apiVersion: atoll.dev/v1alpha1\n"));
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 30 }), (pieces) => {
        const outcome = parseYaml(pieces.join(""), "f.yaml");
        if (outcome.kind === "faults") for (const fault of outcome.faults) expect(fault.line >= 1 && fault.column >= 1).toBe(true);
      }),
      { numRuns: 400 },
    );
  });
});
