import { readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { createReference, referenceFile } from "./provider-docs.ts";

it("docs/terraform-reference.md says what the provider's schemas say; node terraform/provider-docs.ts writes it", () => {
  expect(readFileSync(referenceFile, "utf8")).toBe(createReference());
});
