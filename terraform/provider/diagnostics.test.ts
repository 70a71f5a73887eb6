import { describe, expect, it } from "vitest";
import { AdminApiError, createProblem } from "#federation/admin-api/problem.ts";
import { AtollError } from "#federation/runtime/errors.ts";
import { diagnosticsOf, pathOfField, segmentsOf } from "./diagnostics.ts";

describe("diagnostics", () => {
  it("stand at the attribute that a fault of the API names, with the place inside it in words", () => {
    const problem = { ...createProblem("ATOLL_RESOURCE_INVALID", 400, "two faults"), faults: [{ path: "spec.gateways[1].port", found: "0", expected: "1 to 65535" }, { path: "metadata.name", found: '"X"', expected: "a label" }] };
    expect(diagnosticsOf(new AdminApiError(problem))).toMatchObject([
      { attribute: { steps: [{ attribute_name: "gateways" }] }, detail: "[1].port: found 0, expected 1 to 65535" },
      { attribute: { steps: [{ attribute_name: "name" }] }, detail: 'found "X", expected a label' },
    ]);
  });

  it("stand at the attribute that a refusal begins with", () => {
    expect(diagnosticsOf(new AtollError("ATOLL_REQUEST_INVALID", "spec.trustDomain: a cluster keeps its trust domain"))).toMatchObject([{ attribute: { steps: [{ attribute_name: "trust_domain" }] }, detail: expect.stringMatching(/^a cluster keeps its trust domain\n\n/) as string }]);
  });

  it("are one for the whole of anything else, and say what to do", () => {
    expect(diagnosticsOf(new AtollError("ATOLL_ADMIN_UNAVAILABLE", "nobody there"))).toMatchObject([{ severity: 1, detail: expect.stringContaining("nobody there") as string }]);
    expect(diagnosticsOf(new Error("boom"))).toHaveLength(1);
  });

  it("walk a path as it is written", () => {
    expect(segmentsOf('metadata.labels["a.b/c"]')).toEqual(["metadata", "labels", "a.b/c"]);
    expect(pathOfField(["metadata", "labels", "a.b/c"])).toEqual({ steps: [{ attribute_name: "labels" }, { element_key_string: "a.b/c" }] });
    expect(pathOfField(["spec"])).toBeUndefined();
  });
});
