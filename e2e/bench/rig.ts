import { spawn } from "node:child_process";
import { mkdirSync, openSync, readFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { sleep, systemClock } from "#federation/runtime/clock.ts";
import { findFreePort } from "#services/cli/engines/start-engine.ts";
import type { BenchCertificates } from "./certificates.ts";
import type { Pins, Role } from "./pins.ts";
import type { BenchTools, Tool } from "./tools.ts";

/** The bench's surroundings; its files go below `directory`. */
export interface Rig extends Pins {
  readonly directory: string;
  readonly tools: BenchTools;
  readonly certificates: BenchCertificates;
}

/** A process that the bench started. Disposing ends it and waits for its end. */
export interface BenchProcess extends AsyncDisposable {
  readonly pid: number;
}

/** After SIGTERM; a proxy drains, and a profiled one writes its profile. */
const endWithinMs = 15_000;

/**
 * Starts `tool` on the core of `role`; its output goes to a file, which a failure to start quotes. `hasSession`: in a session
 * of its own, as a service is. Linux shares processors between sessions first (sched_autogroup), and what we start
 * beside a busy load of ours would be starved by it, even on another core.
 */
export function startProcess(
  rig: Pick<Rig, "directory" | "pinned">,
  start: { readonly name: string; readonly role: Role; readonly tool: Tool; readonly args: readonly string[]; readonly hasSession?: boolean },
): BenchProcess {
  mkdirSync(rig.directory, { recursive: true });
  const log = openSync(join(rig.directory, `${start.name}.log`), "a", 0o600);
  const [program, ...args] = rig.pinned(start.role, start.tool.path, start.args);
  const child = spawn(program ?? start.tool.path, args, { stdio: ["ignore", log, log], env: start.tool.environment, detached: start.hasSession === true });
  const ended = new Promise<void>((resolve) => {
    child.once("exit", () => resolve());
    child.once("error", () => resolve());
  });
  if (child.pid === undefined) throw new Error(`${start.name} could not be started`);
  return {
    pid: child.pid,
    async [Symbol.asyncDispose]() {
      child.kill("SIGTERM");
      const timer = systemClock.schedule(endWithinMs, () => child.kill("SIGKILL"));
      await ended;
      timer[Symbol.dispose]();
    },
  };
}

/** A port that was free a moment ago; the peers cannot tell which one they took for port 0. */
export function freePort(): Promise<number> {
  return findFreePort("127.0.0.1");
}

/** Waits until something accepts connections on `port`. @throws Error with the end of the process's log after 20 s. */
export async function waitForPort(rig: Pick<Rig, "directory">, name: string, port: number, signal: AbortSignal): Promise<void> {
  for (let attempt = 0; attempt < 400; attempt++) {
    if (await accepts(port)) return;
    await sleep(systemClock, 50, signal);
  }
  throw new Error(`${name} does not listen: ${readFileSync(join(rig.directory, `${name}.log`), "utf8").slice(-500)}`);
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host: "127.0.0.1", port });
    socket.once("connect", () => {
      socket.destroy();
      resolve(true);
    });
    socket.once("error", () => resolve(false));
  });
}
