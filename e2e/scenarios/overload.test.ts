import { execFile } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, expect, it } from "vitest";
import { z } from "zod";

const run = promisify(execFile);
const directory = mkdtempSync(join(tmpdir(), "atoll-overload-test-"));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

const ratios = (...multiples: readonly string[]): z.ZodType => z.strictObject(Object.fromEntries(multiples.map((multiple) => [multiple, z.number()])));
const lineSchema = z.strictObject({
  app: z.strictObject({ kneeRps: z.number().positive(), goodput: ratios("1.5", "2", "3", "10"), p99AdmittedRatio2x: z.number() }),
  cpu: z.strictObject({ kneeRps: z.number().positive(), goodput: ratios("1.5", "2", "3") }),
  hops: z.strictObject({ kneeRps: z.number().positive(), goodput: ratios("1.5", "2", "3") }),
  recoverMs: z.strictObject({ stall5s: z.number(), burner10s: z.number(), restartAll: z.number(), coldStart2x: z.number() }),
  amplification3Hops: z.number(),
  handshakesAt2x: z.number(),
  placesLoweredWrongly: z.number(),
  plane: z.strictObject({ writesPerSecond: ratios("8", "64", "256", "768"), share: ratios("64", "256", "768") }),
});

// What the figures are, is nobody's business here: on a host that others use they say nothing. Every part must have been measured.
it("the measure of overload finds its knees and fills every field of its line", { timeout: 600_000 }, async () => {
  const file = join(directory, "line.json");
  const { stdout } = await run(process.execPath, [join(import.meta.dirname, "../overload/main.ts"), "--quick", "--json", file]);
  expect(stdout.trim().split("\n")).toHaveLength(1);
  expect(readFileSync(file, "utf8")).toBe(stdout);
  lineSchema.parse(JSON.parse(stdout));
});
