import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, it } from "vitest";
import { connected, MessageReader, settleInterest } from "#federation/bus/bus-contract.ts";
import { openSocketBus } from "#federation/bus/socket-bus.ts";
import { systemClock } from "#federation/runtime/clock.ts";
import { systemRandom } from "#federation/runtime/random.ts";
import { silentLogger } from "#federation/telemetry/logger.ts";

const directory = mkdtempSync(join(tmpdir(), "atoll-hub-"));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

const start = (config: unknown): ReturnType<typeof spawn> => {
  const file = join(directory, "config.json");
  writeFileSync(file, JSON.stringify(config));
  return spawn(process.execPath, [join(import.meta.dirname, "main.ts"), "run", "--config", file], { stdio: ["ignore", "ignore", "pipe"] });
};

it("the hub process carries messages until SIGTERM, and then exits 0", async () => {
  const path = join(directory, "hub.sock");
  const stop = new AbortController();
  const hub = start({ dataDir: directory, listen: { path } });
  await using bus = openSocketBus({ address: { kind: "unix", path }, clock: systemClock, random: systemRandom, logger: silentLogger });
  await connected(bus, stop.signal);
  const reader = new MessageReader(bus.subscribe("a", stop.signal));
  await settleInterest(bus, bus, stop.signal);
  bus.publish("a", new TextEncoder().encode("hello"));
  expect(await reader.take(1)).toEqual(["a hello"]);
  hub.kill("SIGTERM");
  expect((await once(hub, "exit"))[0]).toBe(0);
  stop.abort();
});

it("exits 2 and names every fault of its configuration", async () => {
  const hub = start({ listen: { path: "tcp://10.0.0.1:1", metricsPort: -1 }, surprise: true });
  let said = "";
  hub.stderr?.on("data", (chunk: Buffer) => {
    said += chunk.toString();
  });
  const [code] = (await once(hub, "close")) as [number];
  expect(code).toBe(2);
  for (const field of ["dataDir", "listen.path", "listen.metricsPort", "surprise"]) expect(said).toContain(field);
});
