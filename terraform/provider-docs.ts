import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { dataSources, ephemerals, providerSchema, resources } from "./provider/catalog.ts";
import type { Attribute } from "./provider/schema/attributes.ts";
import type { Schema } from "./provider/schema/to-proto.ts";

/** Where the reference lies. */
export const referenceFile = join(import.meta.dirname, "..", "docs", "terraform-reference.md");

/** The reference of everything that the provider has, made of its schemas. */
export function createReference(): string {
  return [
    "# Terraform provider: reference",
    "How to begin stands in [terraform.md](terraform.md). Written from the provider's schemas by `node terraform/provider-docs.ts`.",
    section("Provider `atoll`", providerSchema),
    "## Resources",
    ...[...resources].map(([name, { schema, replace, idForm }]) => `${section(`\`${name}\``, schema, "###")}\n\nAnother resource when it changes: ${replace.map(code).join(", ")}. ${idForm === undefined ? "It cannot be imported." : `Imported by \`${idForm}\`.`}`),
    "## Data sources",
    ...[...dataSources].map(([name, { schema }]) => section(`\`${name}\``, schema, "###")),
    "## Ephemeral resources",
    ...[...ephemerals].map(([name, { schema }]) => section(`\`${name}\``, schema, "###")),
    "",
  ].join("\n\n");
}

function section(title: string, { description, attributes }: Schema, level = "##"): string {
  return [`${level} ${title}`, description, table(attributes)].join("\n\n");
}

function table(attributes: readonly Attribute[]): string {
  return ["| attribute | type | | |", "|---|---|---|---|", ...rows(attributes, "")].join("\n");
}

function rows(attributes: readonly Attribute[], at: string): readonly string[] {
  return attributes.flatMap((attribute) => {
    const { name, type, use, description } = attribute;
    const words = [description, attribute.isSensitive === true ? "Sensitive." : ""].filter((text) => text !== "").join(" ");
    const row = `| ${code(at + name)} | ${typeWords(attribute)} | ${use === "computed" ? "read" : use} | ${words.replaceAll("|", "\\|")} |`;
    return "attributes" in type ? [row, ...rows(type.attributes, `${at}${name}${type.kind === "objectList" ? "[]" : ""}.`)] : [row];
  });
}

function typeWords({ type }: Attribute): string {
  if (type.kind === "list" || type.kind === "map") return `${type.kind} of ${type.of}`;
  return type.kind === "objectList" ? "list of objects" : type.kind;
}

function code(text: string): string {
  return `\`${text}\``;
}

if (import.meta.main) writeFileSync(referenceFile, createReference());
