import { deadlineSignal, sleep, type Clock } from "#federation/runtime/clock.ts";
import { z } from "zod";
import type { CommandContext } from "../context.ts";
import type { ProcessView } from "./process-spec.ts";
import type { SupervisorClient } from "./supervisor-client.ts";
import type { Topology } from "./topology.ts";

const warmWithinMs = 30_000;
const askEveryMs = 200;
const answerWithinMs = 2_000;

/** What we read of a sidecar's own page `/stats`; there is more. */
const statsSchema = z.object({ services: z.array(z.object({ places: z.array(z.object({ roundTripMs: z.number().nullable() })) })) });
export type SidecarStats = z.infer<typeof statsSchema>;

/**
 * Resolves when every sidecar knows services and has a round trip measured to each place of them: then its first
 * connections are there. What is not warm after 30 s does not keep the users from coming.
 */
export async function sidecarsWarm({ context, topology, supervisor }: { readonly context: CommandContext; readonly topology: Topology; readonly supervisor: SupervisorClient }): Promise<void> {
  const { terminal, signal } = context;
  const sidecars = new Set(topology.processes.filter(({ spec, config }) => spec.kind === "sidecar" && !isEmptyList(config["upstreams"])).map(({ spec }) => spec.name));
  const untilMs = terminal.clock.monotonicMs() + warmWithinMs;
  while (sidecars.size > 0 && terminal.clock.monotonicMs() < untilMs) {
    for (const view of await supervisor.list(signal)) {
      if (sidecars.has(view.name) && (await isSidecarWarm(view, terminal.clock, signal))) sidecars.delete(view.name);
    }
    if (sidecars.size > 0) await sleep(terminal.clock, askEveryMs, signal);
  }
}

/** One that calls nobody has no ways. */
function isEmptyList(value: unknown): boolean {
  return Array.isArray(value) && value.length === 0;
}

/** Whether what a sidecar says of itself shows a way to every place. Pure. */
export function isWarm({ services }: SidecarStats): boolean {
  const places = services.flatMap((service) => service.places);
  return places.length > 0 && places.every(({ roundTripMs }) => roundTripMs !== null);
}

async function isSidecarWarm(view: ProcessView, clock: Clock, signal: AbortSignal): Promise<boolean> {
  const port = view.ports["admin"];
  if (view.state !== "running" || port === undefined) return false;
  using bound = deadlineSignal(clock, answerWithinMs, signal);
  try {
    const response = await fetch(`http://127.0.0.1:${port}/stats`, { headers: { connection: "close" }, signal: bound.signal });
    return isWarm(statsSchema.parse(await response.json()));
  } catch (error) {
    if (signal.aborted) throw error;
    // It is just starting, or too busy to say: it is asked again.
    return false;
  }
}
