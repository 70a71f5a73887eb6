import { describe, expect, it } from "vitest";
import { documentedOutputs, paragraphsNotIn } from "./documented-outputs.ts";

describe("documented outputs", () => {
  it("are the plain blocks of one section, in their order", () => {
    const blocks = documentedOutputs("docs/terraform.md", "Two teams, two states");
    expect(blocks.length).toBeGreaterThan(1);
    expect(blocks[0]).toMatch(/^Outputs:/);
    expect(blocks.join("")).not.toMatch(/terraform -chdir|```/);
    expect(() => documentedOutputs("docs/terraform.md", "Nothing of the kind")).toThrow('docs/terraform.md has no section "Nothing of the kind"');
  });

  it("are looked for by paragraphs, however their lines are broken", () => {
    const printed = "\nError: It may not.\n\n  on main.tf line 1:\n\nThat takes an\nadministrator.\n";
    expect(paragraphsNotIn(printed, "Error: It may not.\n\nThat takes\nan administrator.\n")).toEqual([]);
    expect(paragraphsNotIn(printed, "Error: It may not.\n\nThat takes nobody.\n")).toEqual(["That takes nobody."]);
  });
});
