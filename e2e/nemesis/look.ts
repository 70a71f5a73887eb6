import { readHeldObjects } from "#federation/admin-api/held-objects.ts";
import { resourceRoutes } from "#federation/admin-api/resource-routes.ts";
import type { AdminClient } from "#federation/admin-api/client.ts";
import type { ObjectPayload } from "#federation/model/replicated-object.ts";
import { systemClock } from "#federation/runtime/clock.ts";
import { eventually } from "../harness/eventually.ts";
import type { Look } from "./ailments.ts";
import type { Seen, Sighting } from "./history.ts";
import { planes } from "./places.ts";
import { versionOfPort, versionOfRequestMs } from "./versions.ts";
import type { World } from "./world.ts";

const { signal } = new AbortController();
/** An etcd whose host has no processor for it refuses one listing and takes the next: a plane that shows nothing goes on refusing for longer. */
const heldMsMax = 8_000;

/** Everything that every plane shows, all asked at once; or why one does not answer, or not for all of it. */
export async function lookAtAll(world: World): Promise<Look> {
  return new Map(await Promise.all(planes.map(async (plane) => [plane, await lookAt(world, plane).catch(asError)] as const)));
}

function asError(reason: unknown): Error {
  return reason instanceof Error ? reason : new Error(String(reason));
}

/** What one plane shows of its own registers and of everybody else's. @throws AtollError when it does not answer */
export async function lookAt(world: World, plane: string): Promise<Sighting> {
  const client = world.plane(plane);
  const invokedMs = systemClock.monotonicMs();
  const wasUndecided = world.undecided.has(plane);
  const own = await readOwn(client, plane);
  const values = new Map<string, Seen>(own.values);
  for (const origin of planes) {
    if (origin === plane) continue;
    const held = await eventually(`it shows what it holds of ${origin}`, async () => await readHeldObjects(client, origin, signal), heldMsMax);
    for (const { object } of held) {
      const { payload } = object;
      const value = versionIn(payload);
      if (value !== undefined) values.set(registerId(origin, payload.key), { value, generation: payload.generation });
    }
  }
  return { plane, invokedMs, returnedMs: systemClock.monotonicMs(), isMarked: own.isStale || wasUndecided || world.undecided.has(plane), wasPutBack: world.putBack.has(plane), values };
}

/** What one plane shows of its own registers alone. @throws AtollError when it does not answer */
export async function readOwn(client: AdminClient, plane: string): Promise<OwnRegisters> {
  return plane === "global" ? await readPolicies(client) : await readExports(client, plane);
}

/** Of the thing that a plane was told under `namespace/name`. */
export function registerId(origin: string, key: string): string {
  return `${origin}/${key.split("/").at(-1)}`;
}

export interface OwnRegisters {
  readonly values: ReadonlyMap<string, Seen>;
  /** The plane says so of what it shows. */
  readonly isStale: boolean;
}

async function readPolicies(client: AdminClient): Promise<OwnRegisters> {
  const { body, staleSince } = await client.call(resourceRoutes("TrafficPolicy").list, { query: { limit: pageMax } }, signal);
  return { values: new Map(body.items.map(({ metadata, spec }) => [registerId("global", metadata.name), { value: versionOfRequestMs(spec.timeouts?.requestMs ?? 0) }])), isStale: staleSince !== undefined };
}

/** Exports first: one of them that is there has its service there, too, since nobody deletes services. */
async function readExports(client: AdminClient, plane: string): Promise<OwnRegisters> {
  const exported = await client.call(resourceRoutes("ServiceExport").list, { query: { limit: pageMax } }, signal);
  const services = await client.call(resourceRoutes("Service").list, { query: { limit: pageMax } }, signal);
  const names = new Set(exported.body.items.map(({ metadata }) => metadata.name));
  const shown = services.body.items.filter(({ metadata }) => names.has(metadata.name));
  return {
    values: new Map(shown.map(({ metadata, spec }) => [registerId(plane, metadata.name), { value: versionOfPort(spec.ports[0]?.port ?? 0) }])),
    isStale: exported.staleSince !== undefined || services.staleSince !== undefined,
  };
}

/** A page of a list: a federation of nemesis has fewer. */
const pageMax = 1_000;

/** The version that a signed object states, of the kinds that the workload writes. */
function versionIn({ kind, tombstone, value }: ObjectPayload): number | undefined {
  if (tombstone || (kind !== "TrafficPolicy" && kind !== "ServiceExport")) return undefined;
  const content = JSON.parse(Buffer.from(value).toString("utf8")) as { readonly spec?: { readonly timeouts?: { readonly requestMs?: number } }; readonly ports?: readonly { readonly port?: number }[] };
  return kind === "TrafficPolicy" ? versionOfRequestMs(content.spec?.timeouts?.requestMs ?? 0) : versionOfPort(content.ports?.[0]?.port ?? 0);
}
