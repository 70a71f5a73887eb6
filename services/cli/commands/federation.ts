import { AtollError } from "#federation/runtime/errors.ts";
import type { CommandContext } from "../context.ts";
import { localDirectory, readDirectory } from "../plane-directory.ts";
import { Planes, topologyOf } from "../planes.ts";
import { requireFederationFile } from "../up/federation-file.ts";
import { findSupervisor } from "../up/running.ts";
import type { SupervisorClient } from "../up/supervisor-client.ts";
import type { Topology } from "../up/topology.ts";

/** A federation, opened for one command. */
export interface OpenFederation {
  /** How it is laid out on this machine; absent when it is reached by `--context`. */
  readonly topology?: Topology;
  readonly planes: Planes;
}

/** Runs `command` with the planes of the context's federation. @throws {ATOLL_FEDERATION_NOT_RUNNING} when it was never started. */
export async function withFederation<T>(context: CommandContext, command: (federation: OpenFederation) => Promise<T>): Promise<T> {
  const { terminal } = context;
  const { clock } = terminal;
  const onStale = (owner: string, since: string): void => terminal.note(`${terminal.paint.warn("stale")}  the store of ${owner} has not answered since ${since}, or has not told its plane what was written there: what that plane says is as of then`);
  if (context.contextFile !== undefined) {
    using planes = new Planes(readDirectory(context.contextFile), clock, onStale);
    return await command({ planes });
  }
  const topology = topologyOf(requireFederationFile(context.dataDir), context);
  using planes = new Planes(localDirectory(context.dataDir, topology), clock, onStale);
  return await command({ topology, planes });
}

/** Runs `command` with the supervisor. @throws {ATOLL_FEDERATION_NOT_RUNNING} when none serves. */
export async function withSupervisor<T>(context: CommandContext, command: (supervisor: SupervisorClient) => Promise<T>): Promise<T> {
  const client = await findSupervisor(context.dataDir, context.terminal.clock);
  if (client === undefined) throw new AtollError("ATOLL_FEDERATION_NOT_RUNNING", `federation ${context.name} does not run here (${context.dataDir})`);
  await using supervisor = client;
  return await command(supervisor);
}
