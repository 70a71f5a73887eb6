import { expect } from "vitest";
import { lossyBus } from "#federation/bus/lossy-bus-fixture.ts";
import { MemoryHub } from "#federation/bus/memory-bus.ts";
import type { MemoryBus } from "#federation/bus/memory-bus.ts";
import { compareGenerations, objectId } from "#federation/model/replicated-object.ts";
import type { OpenedObject } from "#federation/model/replicated-object.ts";
import type { Generation } from "#federation/model/snapshot.ts";
import type { ShownPosition, StoreHistory } from "#federation/model/store-standing.ts";
import { AtollError } from "#federation/runtime/errors.ts";
import { createSeededRandom } from "#federation/runtime/random.ts";
import type { Random } from "#federation/runtime/random.ts";
import { VirtualClock } from "#federation/runtime/virtual-clock.ts";
import { WatchedValue } from "#federation/runtime/watched.ts";
import { silentLogger } from "#federation/telemetry/logger.ts";
import { payloadSha256, signObject } from "#federation/wire/signed-object.ts";
import { TestOrigins } from "#federation/wire/test-origin.ts";
import type { PublishedState, ReceiverLag } from "../core/publisher.ts";
import type { ReplicaChange, ReplicaCursor } from "../core/replica-state.ts";
import type { BrakeRules } from "../core/withdrawal-brake.ts";
import type { HeldWithdrawals } from "./held-withdrawals.ts";
import { Incarnation, type MetRival } from "./incarnation.ts";
import { MemoryReplicaStore } from "./memory-replica-store.ts";
import { linkSubjects, runPublisher, type PublisherOptions } from "./run-publisher.ts";
import { runReceiver } from "./run-receiver.ts";
import type { ReceiverStatus } from "./run-receiver.ts";

/** One step of a run. `copy` begins a second publisher of the same name. */
export type ReplicationOp =
  | { readonly kind: "put" | "delete" | "tombstone"; readonly key: number }
  | { readonly kind: "restartPublisher" | "restartReceiver" | "failStore" | "cut" | "join" }
  | { readonly kind: "restore"; readonly writes: number }
  | { readonly kind: "wipe" | "copy" | "endCopy" }
  | { readonly kind: "copyPut"; readonly key: number }
  | { readonly kind: "wait"; readonly ms: number };
const origins = new TestOrigins();
const names = { federation: "demo.atoll", publisher: "shop-eu", audience: "global" };

/** The receiver's disk, which fails when told to and holds the run to its promises. */
class StrictStore extends MemoryReplicaStore {
  failures = 0;
  /** SHA-256 of everything the publisher ever offered. */
  readonly offered = new Set<string>();
  readonly #removed = new Map<string, Generation>();
  /** From then on positions have been given out twice. */
  isRolledBack = false;

  override commit(changes: readonly ReplicaChange[], cursor: ReplicaCursor): Promise<void> {
    if (this.failures > 0) {
      this.failures--;
      return Promise.reject(new AtollError("ATOLL_STORE_UNAVAILABLE", "told to fail"));
    }
    for (const change of changes) this.#check(change);
    return super.commit(changes, cursor);
  }

  #check(change: ReplicaChange): void {
    if (change.kind === "remove") {
      this.#removed.set(change.id, change.generation);
      return;
    }
    const { generation } = change.object.payload;
    expect(this.offered).toContain(payloadSha256(change.object.signed));
    const held = this.objects.get(change.id)?.payload.generation;
    if (held !== undefined) expect(compareGenerations(generation, held)).toBeGreaterThan(this.isRolledBack ? -1 : 0);
    if (this.isRolledBack) return;
    const removed = this.#removed.get(change.id);
    // In this world every write has a revision of its own, so what was removed never comes back as it was.
    if (removed !== undefined) expect(compareGenerations(generation, removed)).toBeGreaterThan(0);
  }
}

/** One publisher, a second one of its name now and then, and one receiver, on a bus that loses, repeats and delays. */
export class ReplicationWorld {
  readonly clock = new VirtualClock();
  readonly store = new StrictStore();
  readonly lags = new WatchedValue<ReadonlyMap<string, ReceiverLag>>(new Map());
  readonly statuses = new WatchedValue<ReadonlyMap<string, ReceiverStatus>>(new Map());
  readonly #random: Random;
  readonly #hub = new MemoryHub(this.clock);
  readonly #state = new WatchedValue<PublishedState>({ revision: 0, objects: new Map() });
  readonly #failures: unknown[] = [];
  readonly #subjects = linkSubjects("up", "shop-eu");
  /** What receivers have shown the publisher of its own past. */
  readonly shown: ShownPosition[] = [];
  readonly withdrawals = new Map<string, HeldWithdrawals>();
  readonly #brake: BrakeRules | undefined;
  readonly #valueBytes: number;
  #past: PublishedState[] = [];
  #writes = 0;
  #epoch = 1;
  #term = 0;
  #publisher: Publisher;
  #copy: Copy | undefined;
  #receiver: Side;

  /** An answer is of several parts where `valueBytes` of each object make it so. */
  constructor(seed: number, { brake, valueBytes = 0 }: { readonly brake?: BrakeRules; readonly valueBytes?: number } = {}) {
    this.#brake = brake;
    this.#valueBytes = valueBytes;
    this.#random = createSeededRandom(seed);
    this.#hub.faults = lossyBus(this.#random);
    this.#publisher = this.#startPublisher();
    this.#receiver = this.#startReceiver();
  }

  async apply(next: ReplicationOp): Promise<void> {
    switch (next.kind) {
      case "put":
      case "tombstone":
      case "delete":
        this.#write(`k${next.key}`, next.kind);
        return;
      case "restore":
        this.#restore(next.writes);
        return;
      case "wipe":
        await this.#publisher.stop();
        this.#epoch++;
        this.#state.set({ revision: 0, objects: new Map() });
        this.#publisher = this.#startPublisher();
        return;
      case "restartPublisher":
        await this.#publisher.stop();
        this.#publisher = this.#startPublisher();
        return;
      case "restartReceiver":
        await this.#receiver.stop();
        this.#receiver = this.#startReceiver();
        return;
      case "failStore":
        this.store.failures = 2;
        return;
      case "cut":
      case "join":
        this.#receiver.bus.setConnected(next.kind === "join");
        return;
      case "copy":
        await this.#copy?.stop();
        this.#copy = this.#startCopy();
        return;
      case "copyPut":
        this.#copy?.put(`k${next.key}`);
        return;
      case "endCopy":
        await this.#copy?.stop();
        this.#copy = undefined;
        return;
      case "wait":
        await this.clock.advance(next.ms);
    }
  }

  /** The bus becomes good, and everything has time to heal. */
  async heal(): Promise<void> {
    this.#hub.faults = () => [0];
    this.#receiver.bus.setConnected(true);
    this.store.failures = 0;
    // The longest wait is the fetch backoff of 30 s and a request under way of 5 s.
    await this.clock.advance(45_000);
  }

  /** What an operator's decision does: everything is said again in a higher epoch. */
  async decide(): Promise<void> {
    await this.#publisher.stop();
    this.#epoch++;
    const { revision, objects } = this.#state.current;
    const said = [...objects].map(([id, { payload }]) => [id, signObject({ ...payload, generation: { epoch: this.#epoch, revision: payload.generation.revision } }, origins.signer("shop-eu"))] as const);
    for (const [, object] of said) this.store.offered.add(payloadSha256(object.signed));
    this.#state.set({ revision, objects: new Map(said) });
    this.#publisher = this.#startPublisher();
  }

  /** An operator's word. */
  async letGo(): Promise<void> {
    const done = this.withdrawals.get("shop-eu")?.letGo(undefined);
    await this.clock.advance(1_000);
    await done;
  }

  /** What the publisher knows of a second one of its name, and that of it. */
  get met(): { readonly publisher: MetRival | undefined; readonly copy: MetRival | undefined } {
    return { publisher: this.#publisher.incarnation.met, copy: this.#copy?.incarnation.met };
  }

  async stop(): Promise<void> {
    await this.#copy?.stop();
    await this.#publisher.stop();
    await this.#receiver.stop();
    expect(this.#failures).toEqual([]);
  }

  get expected(): readonly string[] {
    return shown([...this.#state.current.objects].filter(([, { payload }]) => !payload.tombstone));
  }

  /** Ids of what the origin says is deleted. */
  get deleted(): readonly string[] {
    return [...this.#state.current.objects].filter(([, { payload }]) => payload.tombstone).map(([id]) => id);
  }

  get actual(): readonly string[] {
    return shown([...this.store.objects]);
  }

  #restore(writes: number): void {
    const before = this.#past.at(-writes);
    if (before === undefined) return;
    this.store.isRolledBack = true;
    this.#past = this.#past.slice(0, -writes);
    this.#state.set(before);
  }

  #write(key: string, kind: "put" | "tombstone" | "delete"): void {
    const { revision, objects } = this.#state.current;
    this.#past.push(this.#state.current);
    const next = new Map(objects);
    const id = objectId({ origin: "shop-eu", kind: "Note", key });
    if (kind === "delete") {
      next.delete(id);
    } else {
      const generation = { epoch: this.#epoch, revision: revision + 1 };
      // Told apart by their order: after a restored store a revision says something else than before.
      const value = Buffer.from(String(++this.#writes).padEnd(this.#valueBytes));
      const object = origins.object("shop-eu", key, revision + 1, { generation, ...(kind === "tombstone" ? { tombstone: true } : { value }) });
      this.store.offered.add(payloadSha256(object.signed));
      next.set(id, object);
    }
    this.#state.set({ revision: revision + 1, objects: next });
  }

  #startPublisher(): Publisher {
    return this.#publish({ bus: this.#hub.open("publisher"), host: "here", term: ++this.#term, objects: this.#state, lags: this.lags, onBehind: (behind) => void this.shown.push(behind) });
  }

  /** A second publisher with all that the first one has, its keys and its next term, which goes its own way from now on. */
  #startCopy(): Copy {
    const objects = new WatchedValue(this.#state.current);
    const epoch = this.#epoch;
    const put = (key: string): void => {
      const { revision } = objects.current;
      const value = Buffer.from(`copied ${++this.#writes}`);
      const object = origins.object("shop-eu", key, revision + 1, { generation: { epoch, revision: revision + 1 }, value });
      this.store.offered.add(payloadSha256(object.signed));
      this.store.isRolledBack = true;
      objects.set({ revision: revision + 1, objects: new Map([...objects.current.objects, [objectId(object.payload), object]]) });
    };
    const onBehind = (behind: ShownPosition): void => {
      this.shown.push(behind);
      // As its plane does, once an operator has named another.
      if (behind.witnessed.epoch > epoch) void this.#copy?.stop();
    };
    return { ...this.#publish({ bus: this.#hub.open("copy"), host: "copy", term: this.#term + 1, objects, lags: new WatchedValue(new Map()), onBehind }), put };
  }

  #publish({ host, ...parts }: { readonly bus: MemoryBus; readonly host: string } & Pick<PublisherOptions, "term" | "objects" | "lags" | "onBehind">): Publisher {
    const incarnation = new Incarnation({ clock: this.clock, random: this.#random, logger: silentLogger, host });
    const common = { clock: this.clock, random: this.#random, logger: silentLogger, names, publisherTrustDomain: "shop-eu.example", subjects: this.#subjects };
    const { revision: opened } = parts.objects.current;
    const history = (): StoreHistory => ({ opened, written: parts.objects.current.revision });
    const options = { ...common, ...parts, history, epoch: this.#epoch, signer: () => origins.signer("shop-eu"), standings: new Map(), incarnation, verifyChain: origins.verifyChain };
    return { ...this.#start(parts.bus, (signal) => runPublisher(options, signal)), incarnation };
  }

  #startReceiver(): Side {
    const bus = this.#hub.open("receiver");
    const common = { clock: this.clock, logger: silentLogger, names, publisherTrustDomain: "shop-eu.example", subjects: this.#subjects };
    const options = { ...common, bus, origins: "publisher" as const, verifyChain: origins.verifyChain, store: this.store, statuses: this.statuses, withdrawals: this.withdrawals, ...(this.#brake === undefined ? {} : { brake: this.#brake }) };
    return this.#start(bus, (signal) => runReceiver(options, signal));
  }

  #start(bus: MemoryBus, run: (signal: AbortSignal) => Promise<void>): Side {
    const controller = new AbortController();
    const done = run(controller.signal).catch((error: unknown) => void this.#failures.push(error));
    return {
      bus,
      stop: async () => {
        controller.abort();
        await done;
        await bus[Symbol.asyncDispose]();
      },
    };
  }
}

interface Side {
  readonly bus: MemoryBus;
  stop(): Promise<void>;
}

interface Publisher extends Side {
  readonly incarnation: Incarnation;
}

interface Copy extends Publisher {
  put(key: string): void;
}

function shown(objects: readonly (readonly [string, OpenedObject])[]): readonly string[] {
  return objects.map(([id, { payload }]) => `${id}@${payload.generation.revision} ${Buffer.from(payload.value).toString().trimEnd()}`).sort();
}
