import { expect, it } from "vitest";
import { measureImports } from "./measure-imports.ts";

it("starts a plane that has all that its store holds, and has told a proxy of it", async () => {
  const { imports, readSeconds, toldSeconds, storeBytes } = await measureImports(40, new AbortController().signal);
  expect(imports).toBe(40);
  expect(readSeconds).toBeGreaterThan(0);
  expect(toldSeconds).toBeGreaterThanOrEqual(readSeconds);
  expect(storeBytes).toBeGreaterThan(0);
});
