import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { readSchemas } from "./read-schemas.ts";

const text = `# a comment
provider aws region?s
resource aws_group id~s name!s sizes?[n] zones?(s) tags?{s} arn^s big?b
  list! rule port!n
    one target arn!s
  set tag key!s
data aws_region region~s
`;

describe("schemas of a provider as text", () => {
  it("become those of the plugin protocol", () => {
    const { provider, resources, dataSources } = readSchemas(text);
    const attribute = (name: string, type: unknown, use: Partial<Record<"required" | "optional" | "computed", true>>): object => ({ name, type: Buffer.from(JSON.stringify(type)), required: false, optional: false, computed: false, ...use });
    expect(provider.block.attributes).toEqual([attribute("region", "string", { optional: true })]);
    expect(resources["aws_group"]?.block).toEqual({
      attributes: [
        attribute("id", "string", { optional: true, computed: true }),
        attribute("name", "string", { required: true }),
        attribute("sizes", ["list", "number"], { optional: true }),
        attribute("zones", ["set", "string"], { optional: true }),
        attribute("tags", ["map", "string"], { optional: true }),
        attribute("arn", "string", { computed: true }),
        attribute("big", "bool", { optional: true }),
      ],
      block_types: [
        {
          type_name: "rule", nesting: 2, min_items: 1, max_items: 0,
          block: {
            attributes: [attribute("port", "number", { required: true })],
            block_types: [{ type_name: "target", nesting: 2, min_items: 0, max_items: 1, block: { attributes: [attribute("arn", "string", { required: true })], block_types: [] } }],
          },
        },
        { type_name: "tag", nesting: 3, min_items: 0, max_items: 0, block: { attributes: [attribute("key", "string", { required: true })], block_types: [] } },
      ],
    });
    expect(Object.keys(dataSources)).toEqual(["aws_region"]);
  });

  it.each([
    ["provider aws\nthing aws_x", "nothing is called thing"],
    ["provider aws\nresource aws_x name", "name is no attribute"],
    ["provider aws\nresource aws_x\n  often rule", "a block stands one, list or set, not often"],
    ["resource aws_x", "the provider itself is missing"],
  ])("are refused where a word means nothing: %j", (wrong, says) => {
    expect(() => readSchemas(wrong)).toThrow(says);
  });

  it("of AWS have every resource of the modules", () => {
    const { resources } = readSchemas(readFileSync(join(import.meta.dirname, "schemas.txt"), "utf8"));
    expect(Object.keys(resources)).toEqual(expect.arrayContaining(["aws_autoscaling_group", "aws_lb", "aws_vpc_peering_connection"]));
  });
});
