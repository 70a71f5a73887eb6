import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it } from "vitest";
import { fillImports } from "./fill-imports.ts";
import { measureImports, startPlane } from "./measure-imports.ts";

it("starts a plane that has all that its store holds, and has told a proxy of it", async () => {
  const { imports, readSeconds, toldSeconds, storeBytes } = await measureImports(40, new AbortController().signal);
  expect(imports).toBe(40);
  expect(readSeconds).toBeGreaterThan(0);
  expect(toldSeconds).toBeGreaterThanOrEqual(readSeconds);
  expect(storeBytes).toBeGreaterThan(0);
});

it("says that a store holds fewer imports than a plane is to have of it, and waits for nobody", async () => {
  const directory = mkdtempSync(join(tmpdir(), "atoll-imports-"));
  try {
    const { signal } = new AbortController();
    const path = join(directory, "few.sqlite");
    await fillImports(path, 3, signal);
    await expect(startPlane(path, 4, signal)).rejects.toThrow(/few\.sqlite holds 3 imports, and 4 were asked for/);
    await expect(startPlane(path, 3, signal)).resolves.toHaveProperty("readMs");
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
});
