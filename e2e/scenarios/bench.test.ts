import { execFile } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, expect, it } from "vitest";
import { z } from "zod";
import { findTools } from "../bench/tools.ts";
import { findOrLeaveOut, findTestEngine } from "../contract/test-engines.ts";

const run = promisify(execFile);
const directory = mkdtempSync(join(tmpdir(), "atoll-bench-test-"));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

const median = z.object({ median: z.number() });
const resultSchema = z.object({
  results: z.array(
    z.object({
      shape: z.string(),
      connections: z.number().optional(),
      subjects: z.array(z.object({ subject: z.string(), cpuMicrosPerRequest: median, cpuRatio: median, requestsPerSecond: median, residentMegabytes: z.number(), errors: z.number(), handshakes: z.number().optional() })),
    }),
  ),
});

// The bench reads /proc.
const tools = process.platform === "linux" ? await findOrLeaveOut("the bench", findTools) : undefined;
const missing = tools === undefined;

// How fast anything is, is nobody's business here: the bench must run, and every answer must be right.
it.skipIf(missing)(`the bench measures a sidecar beside HAProxy in every shape${missing ? " (its tools are not to be had here)" : ""}`, { timeout: 240_000 }, async () => {
  const file = join(directory, "result.json");
  await run(process.execPath, [join(import.meta.dirname, "../bench/main.ts"), "--quick", "--subjects", "atoll,haproxy", "--json", file]);
  const { results } = resultSchema.parse(JSON.parse(readFileSync(file, "utf8")));
  expect(results.map(({ shape, connections }) => `${shape} ${connections ?? ""}`.trim())).toEqual(["http", "mtls-out", "mtls-in", "pair 1", "pair 32"]);
  for (const { shape, subjects } of results) {
    expect(subjects.map(({ subject, errors }) => `${shape} ${subject} ${errors}`)).toEqual([`${shape} atoll 0`, `${shape} haproxy 0`]);
    // The two of a pair spoke TLS.
    if (shape === "pair") for (const { handshakes } of subjects) expect(handshakes).toBeGreaterThan(0);
    for (const { cpuMicrosPerRequest, cpuRatio, requestsPerSecond, residentMegabytes } of subjects) {
      for (const value of [cpuMicrosPerRequest.median, cpuRatio.median, requestsPerSecond.median, residentMegabytes]) expect(value).toBeGreaterThan(0);
    }
  }
});

const quantiles = z.object({ p50Ms: z.number(), p99Ms: z.number() });
const replicationSchema = z.object({
  services: z.number(),
  idle: z.object({ hop: quantiles, wrote: quantiles, arrived: quantiles }),
  idleRatio: z.number(),
  loaded: z.array(z.object({ rate: z.number(), asked: z.number(), failed: z.number(), missing: z.number(), takenPerSecond: z.number(), arrived: quantiles, ratio: z.number() })),
});

const hasEngines = [await findTestEngine("etcd"), await findTestEngine("nats-server")].every((engine) => engine !== undefined);

it.skipIf(!hasEngines)(`the bench of replication has every change arrive in the other region${hasEngines ? "" : " (its engines are not to be had here)"}`, { timeout: 240_000 }, async () => {
  const file = join(directory, "replication.json");
  await run(process.execPath, [join(import.meta.dirname, "../bench/main.ts"), "replication", "--quick", "--json", file]);
  const line = replicationSchema.parse(JSON.parse(readFileSync(file, "utf8")));
  expect(line.loaded).toMatchObject([{ asked: 20, failed: 0, missing: 0 }]);
});
