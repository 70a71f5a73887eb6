import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { VirtualClock } from "#federation/runtime/virtual-clock.ts";
import { ManagedProcess } from "./managed-process.ts";

/** Longer than a process has to live to count as a sound one. */
const longLifeMs = 31_000;
const serving = `require("node:fs").writeFileSync(process.argv[1], JSON.stringify({ pid: process.pid, ports: {} })); setInterval(() => {}, 1000);`;

describe("a managed process that ends by itself", () => {
  let directory: string;
  let clock: VirtualClock;
  let managed: ManagedProcess;

  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), "atoll-managed-"));
    clock = new VirtualClock();
    const readyFile = join(directory, "ready.json");
    const spec = { name: "a", kind: "app", command: process.execPath, args: ["-e", serving, readyFile], cwd: directory, logFile: join(directory, "log"), readyFile } as const;
    managed = new ManagedProcess(spec, { clock, env: process.env, events: { changed: () => undefined, crashed: () => undefined } });
    managed.start();
  });
  afterEach(async () => {
    await managed.stop(0);
    rmSync(directory, { recursive: true, force: true });
  });

  const running = (): Promise<void> =>
    expect
      .poll(async () => {
        await clock.advance(25);
        return managed.state;
      })
      .toBe("running");
  const crash = async (): Promise<void> => {
    const { pid = 0 } = managed.view;
    process.kill(pid, "SIGKILL");
    await expect.poll(() => managed.view.pid).not.toBe(pid);
  };

  it("is started again at once when it was a sound one, and waits when it is not", async () => {
    await running();
    await clock.advance(longLifeMs);
    await crash();
    // No time has passed but what a timer of nothing takes.
    await clock.advance(0);
    expect(managed.state).toBe("starting");
    await running();
    await crash();
    await clock.advance(100);
    expect(managed.state).toBe("backoff");
    await running();
    expect(managed.view.restarts).toBe(2);
  });
});
