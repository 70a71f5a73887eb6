import { connect } from "node:net";
import { deadlineSignal, sleep, type Clock } from "#federation/runtime/clock.ts";
import type { CommandContext } from "../context.ts";
import type { Progress } from "../terminal.ts";
import type { PlacedInstance } from "./app-processes.ts";
import type { Topology } from "./topology.ts";

/** Who has not answered by then does not keep the others from being called. */
const answerWithinMs = 30_000;
const askEveryMs = 100;
const oneTryMs = 2_000;

/**
 * Waits for the user's applications: for a 2xx or 3xx at their readiness path, or until their port accepts. Answers
 * what it still waited for after 30 s, in words; their sidecars go on asking.
 */
export async function appsAnswer(parts: { readonly context: CommandContext; readonly topology: Topology; readonly progress: Progress }): Promise<readonly string[]> {
  const { context, topology, progress } = parts;
  const { clock } = context.terminal;
  let waiting = topology.instances.filter(({ workload }) => workload.app.kind !== "demo");
  const untilMs = clock.monotonicMs() + answerWithinMs;
  let said = "";
  for (;;) {
    const answers = await Promise.all(waiting.map((one) => isAnswering(one, clock, context.signal)));
    waiting = waiting.filter((_, index) => answers[index] !== true);
    if (waiting.length === 0 || clock.monotonicMs() > untilMs) break;
    const words = `waiting for ${waiting.map(describe).join(", ")}`;
    if (words !== said) progress.step((said = words));
    await sleep(clock, askEveryMs, context.signal);
  }
  return waiting.map(describe);
}

function describe({ workload, instance, appPort }: PlacedInstance): string {
  return `${workload.namespace}/${workload.service} (${instance.name}) to answer on 127.0.0.1:${appPort}${workload.readinessPath ?? ""}`;
}

async function isAnswering({ workload, appPort }: PlacedInstance, clock: Clock, signal: AbortSignal): Promise<boolean> {
  using bound = deadlineSignal(clock, oneTryMs, signal);
  if (workload.readinessPath === undefined) return await accepts(appPort, bound.signal);
  try {
    const response = await fetch(`http://127.0.0.1:${appPort}${workload.readinessPath}`, { headers: { connection: "close" }, redirect: "manual", signal: bound.signal });
    await response.body?.cancel();
    return response.status >= 200 && response.status < 400;
  } catch (error) {
    if (signal.aborted) throw error;
    return false;
  }
}

function accepts(port: number, signal: AbortSignal): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host: "127.0.0.1", port, signal });
    socket.once("connect", () => {
      socket.destroy();
      resolve(true);
    });
    socket.once("error", () => resolve(false));
  });
}
