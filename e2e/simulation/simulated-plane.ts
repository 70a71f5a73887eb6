import { cpSync, rmSync } from "node:fs";
import { join } from "node:path";
import { latestOf, type HeldObject } from "#federation/admin-api/held-objects.ts";
import { storeOperations, type StoreOperationsOptions } from "#federation/admin-api/store-operations.ts";
import { storeRoutes } from "#federation/admin-api/store-routes.ts";
import type { AnyRoute } from "#federation/admin-api/route.ts";
import type { MemoryBus, MemoryHub } from "#federation/bus/memory-bus.ts";
import type { Catalog } from "#federation/catalog/catalog.ts";
import { rememberedFiles } from "#federation/history/store-life.ts";
import type { TermStore } from "#federation/history/term-store.ts";
import type { SpiffeId } from "#federation/model/names.ts";
import type { Generation } from "#federation/model/snapshot.ts";
import type { ReconcileDecision, StoreStanding } from "#federation/model/store-standing.ts";
import type { HeldWithdrawals } from "#federation/replication/shell/held-withdrawals.ts";
import type { Clock } from "#federation/runtime/clock.ts";
import { isAbort } from "#federation/runtime/lifecycle.ts";
import type { Random } from "#federation/runtime/random.ts";
import { ExchangedStore, type StoreCopy } from "#federation/store/exchanged-store-fixture.ts";
import { runAsLeader, type LeaderTask } from "#federation/store/leader.ts";
import { openSqliteStore } from "#federation/store/sqlite-store.ts";
import type { Store } from "#federation/store/store.ts";
import { silentLogger } from "#federation/telemetry/logger.ts";
import { decodeSignedObject, openObject } from "#federation/wire/signed-object.ts";
import { keys } from "#federation/catalog/keys.ts";
import { makeDirectory } from "./credentials.ts";
import { TroubledStore, type Trouble } from "./troubled-store.ts";

/** What a plane is while it serves: what its ports would answer from. */
export interface Served {
  readonly catalog: Catalog;
  readonly termStore: TermStore;
  readonly standing: StoreStanding;
  readonly withdrawals: ReadonlyMap<string, HeldWithdrawals>;
  readonly store: Omit<StoreOperationsOptions, "backup">;
}

export interface SimulatedPlaneOptions {
  readonly name: string;
  readonly hub: MemoryHub;
  readonly clock: Clock;
  readonly random: Random;
  /** Runs the plane for a term; it hands over what it serves by, and takes it back with `undefined`. */
  readonly lead: (plane: { readonly store: Store; readonly bus: MemoryBus; readonly dataDir: string }, onServing: (served: Served | undefined) => void) => LeaderTask;
}

const never = new AbortController().signal;
const operator = { kind: "certificate", spiffeId: "spiffe://demo.atoll/atoll/admin/local" as SpiffeId } as const;

/** One plane's process, its disk, and its store, which outlive the process. */
export class SimulatedPlane {
  readonly name: string;
  readonly dataDir: string;
  readonly #options: SimulatedPlaneOptions;
  readonly #store: ExchangedStore;
  readonly #troubled: TroubledStore;
  #running: { readonly stop: AbortController; readonly done: Promise<void>; readonly bus: MemoryBus } | undefined;
  #served: Served | undefined;
  /** What ended the plane though nobody had asked for it. */
  readonly failures: unknown[] = [];

  private constructor(options: SimulatedPlaneOptions, store: ExchangedStore) {
    this.name = options.name;
    this.dataDir = makeDirectory("atoll-simulated-");
    this.#options = options;
    this.#store = store;
    this.#troubled = new TroubledStore(store);
  }

  static async create(options: SimulatedPlaneOptions): Promise<SimulatedPlane> {
    return new SimulatedPlane(options, new ExchangedStore(await openStore(options.clock)));
  }

  /** Undefined while it does not serve. */
  get served(): Served | undefined {
    return this.#served;
  }

  get isRunning(): boolean {
    return this.#running !== undefined;
  }

  start(): void {
    if (this.#running !== undefined) return;
    const { name, hub, clock, random, lead } = this.#options;
    const stop = new AbortController();
    const bus = hub.open(name);
    const task = lead({ store: this.#troubled, bus, dataDir: this.dataDir }, (served) => (this.#served = served));
    const done = runAsLeader(this.#troubled, { key: keys.leader, id: name, clock, random, logger: silentLogger }, task, stop.signal).catch((error: unknown) => {
      if (!(stop.signal.aborted && isAbort(error))) this.failures.push(error);
    });
    this.#running = { stop, done, bus };
  }

  /** Ends the process at once; what it has not been told that it is done may be done or not. */
  async stop(): Promise<void> {
    const running = this.#running;
    if (running === undefined) return;
    this.#running = undefined;
    this.#served = undefined;
    running.stop.abort();
    await running.done;
    await running.bus[Symbol.asyncDispose]();
  }

  setConnected(isConnected: boolean): void {
    this.#running?.bus.setConnected(isConnected);
  }

  /** What ails its store. */
  get trouble(): Trouble | undefined {
    return this.#troubled.trouble;
  }

  set trouble(trouble: Trouble | undefined) {
    this.#troubled.trouble = trouble;
  }

  /** Everything that `other` has on its disk and in its store, as a copied machine would; before its first start. */
  async takeAfter(other: SimulatedPlane): Promise<void> {
    cpSync(other.dataDir, this.dataDir, { recursive: true });
    await this.putBackWhole(await other.copyStore());
  }

  /** Its disk forgets what it has seen of the store. */
  loseWitness(): void {
    for (const file of rememberedFiles) rmSync(join(this.dataDir, file), { force: true });
  }

  async copyStore(): Promise<StoreCopy> {
    return await this.#store.copy(keys.leader);
  }

  /** Another store stands where the present one did, with what `copy` holds. */
  async putBack(copy: StoreCopy): Promise<void> {
    await this.#store.putBack(copy, await openStore(this.#options.clock));
  }

  /** The same with the store's positions, as of a copied disk. */
  async putBackWhole(copy: StoreCopy): Promise<void> {
    await this.#store.putBackWhole(copy, await openStore(this.#options.clock));
  }

  /** What it holds of `origin`, as it would tell an operator. */
  async held(origin: string): Promise<readonly HeldObject[]> {
    const { items = [] } = (await this.#served?.catalog.objects.list(never)) ?? {};
    return items.filter(({ value }) => value.origin === origin).map(({ value }) => ({ object: openObject(decodeSignedObject(value.signed)), base64: Buffer.from(value.signed).toString("base64") }));
  }

  /** Of all that it holds, by object id, the generations. */
  async heldGenerations(): Promise<ReadonlyMap<string, Generation>> {
    const { items = [] } = (await this.#served?.catalog.objects.list(never)) ?? {};
    return new Map(items.map(({ id, value: { epoch, revision } }) => [id, { epoch, revision }]));
  }

  /** What `atoll reconcile` does: reads back what `holders` have, drops what they have let go, begins an epoch, and tells them of it. */
  async decide(decision: ReconcileDecision, holders: readonly SimulatedPlane[]): Promise<void> {
    const latest = latestOf(await Promise.all(holders.map((holder) => holder.held(this.name))));
    await this.#call(storeRoutes.takeObjects, { decision, objects: [...latest.values()].map(({ base64 }) => base64) });
    const epochAbove = Math.max(0, ...[...latest.values()].map(({ object }) => object.payload.generation.epoch));
    const held = [...latest].filter(([, { object }]) => !object.payload.tombstone).map(([id]) => id);
    const { epoch } = (await this.#call(storeRoutes.reconcile, { decision, held, epochAbove })) as { readonly epoch: number };
    for (const holder of holders) await holder.served?.withdrawals.get(this.name)?.letGo(epoch);
  }

  async #call({ operationId }: Pick<AnyRoute, "operationId">, body: unknown): Promise<unknown> {
    const served = this.#served;
    if (served === undefined) throw new Error(`${this.name} does not serve`);
    const backup = { federation: "", plane: this.name, clock: this.#options.clock, copy: async () => await Promise.reject(new Error("nothing is backed up here")) };
    const operation = storeOperations({ ...served.store, backup }).find((one) => one.route.operationId === operationId);
    if (operation === undefined) throw new Error(`no operation ${operationId}`);
    return (await operation.handle({ params: {}, query: {}, body, caller: operator, demand: () => undefined }, never)).body;
  }
}

async function openStore(clock: Clock): Promise<Store> {
  return await openSqliteStore({ path: ":memory:", clock, logger: silentLogger });
}
