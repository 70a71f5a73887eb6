import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { errorCatalog } from "./error-catalog.ts";
import { AtollError, describeError, isAtollError } from "./errors.ts";
import { renderErrorDocs } from "./write-error-docs.ts";

describe("the error catalog", () => {
  it("is in alphabetical order, so that a new code has one place", () => {
    const codes = Object.keys(errorCatalog);
    expect(codes).toEqual(codes.toSorted());
  });

  it("is what docs/errors.md says", () => {
    expect(readFileSync(new URL("../../docs/errors.md", import.meta.url), "utf8")).toBe(renderErrorDocs());
  });
});

describe("AtollError", () => {
  it("is recognised by its code", () => {
    const error = new AtollError("ATOLL_TIMEOUT", "no answer", { cause: new Error("refused") });
    expect(isAtollError(error, "ATOLL_TIMEOUT")).toBe(true);
    expect(isAtollError(error, "ATOLL_STORE_CONFLICT")).toBe(false);
    expect(describeError(error)).toBe("no answer: refused");
  });
});
