import { cpSync, mkdirSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { storeRoutes } from "#federation/admin-api/store-routes.ts";
import { eventually, pause } from "../../harness/eventually.ts";
import { ailmentsOf } from "../ailments.ts";
import { lookAtAll } from "../look.ts";
import { etcdsOf, processOf } from "../places.ts";
import type { World } from "../world.ts";
import type { Scene } from "./fault.ts";

/** Far more than any of it takes on a busy host. */
const settledMsMax = 240_000;

/** The files of a plane's store, and the processes that have them open, which have to be ended before anybody touches them. */
export class PlaneStore {
  readonly plane: string;
  /** Ended for as long as files are touched; the store's own first. */
  readonly processes: readonly string[];
  /** One for each member, and where its copy is. */
  readonly #directories: readonly { readonly path: string; readonly copy: string }[];
  readonly #isFile: (name: string) => boolean;

  /** `withPlane`: the plane is ended, too, when its store is a process of its own. */
  constructor(world: World, plane: string, { withPlane }: { readonly withPlane: boolean }) {
    const isEmbedded = world.ground === "embedded";
    const owners = isEmbedded ? [processOf(plane)] : etcdsOf(plane, world.ground);
    this.plane = plane;
    this.processes = withPlane && !isEmbedded ? [...owners, processOf(plane)] : owners;
    this.#directories = owners.map((owner) => {
      const home = world.federation.directoryOf(owner);
      return { path: isEmbedded ? home : join(home, "etcd"), copy: join(home, "nemesis-copy") };
    });
    // Its own backups beside it are part of an embedded store: they would undo what we do.
    this.#isFile = (name) => !isEmbedded || name.startsWith("store.sqlite");
  }

  /** Keeps a copy of what it holds now; nothing may have it open. */
  keep(): void {
    for (const { path, copy } of this.#directories) {
      rmSync(copy, { recursive: true, force: true });
      mkdirSync(copy);
      for (const name of this.#filesIn(path)) cpSync(join(path, name), join(copy, name), { recursive: true });
    }
  }

  /** Removes all that it holds; nothing may have it open. */
  empty(): void {
    for (const { path } of this.#directories) for (const name of this.#filesIn(path)) rmSync(join(path, name), { recursive: true });
  }

  /** Puts the kept copy in the place of what it holds. */
  putBack(): void {
    this.empty();
    for (const { path, copy } of this.#directories) for (const name of readdirSync(copy)) cpSync(join(copy, name), join(path, name), { recursive: true });
  }

  #filesIn(directory: string): readonly string[] {
    return readdirSync(directory).filter((name) => this.#isFile(name));
  }
}

/**
 * Takes something away from a plane's store while nobody writes to it and everybody has what it was told: what nobody has heard of can
 * be lost with a store, which docs/replication.md says. `damage` is called while `processes` are dead.
 */
export async function damageStore({ world, writers }: Scene, store: PlaneStore, damage: () => void): Promise<void> {
  const writer = writers.get(store.plane);
  if (writer === undefined) throw new Error(`nobody writes at ${store.plane}`);
  await writer.resting(async () => {
    await eventually(`everybody has what ${store.plane} was told`, async () => {
      const about = ailmentsOf(await lookAtAll(world), writer.registers).filter(({ planes }) => planes.includes(store.plane));
      if (about.length > 0) await pause(500);
      return about.length === 0;
    }, settledMsMax);
    await world.federation.kill(...store.processes);
    world.undecided.add(store.plane);
    world.putBack.add(store.plane);
    damage();
    await world.federation.start(...store.processes);
  });
}

/** What an operator does about it: takes what others hold that is newer. A plane that has not noticed within the time that anything may take here is silent. */
export async function decideForNewer({ world, onSilent }: Scene, plane: string): Promise<void> {
  const isNoticed = await eventually(`${plane} notices that its store went backwards`, async () => (await world.plane(plane).call(storeRoutes.store, {}, never)).body.state === "behind", settledMsMax).catch(() => false);
  if (isNoticed) await reconcile(world, plane, "--take-newer");
  else onSilent(`${plane} has not noticed that its store went backwards`);
  world.undecided.delete(plane);
}

/** `atoll reconcile`, again until every plane that has to be asked answers. */
export async function reconcile(world: World, plane: string, decision: "--take-newer" | "--keep"): Promise<void> {
  await eventually(`atoll reconcile ${plane} ${decision}`, async () => {
    const { code, stderr } = await world.atoll("reconcile", plane, decision);
    if (code === 0) return true;
    await pause(1_000);
    throw new Error(stderr);
  }, settledMsMax);
}

const never = new AbortController().signal;
