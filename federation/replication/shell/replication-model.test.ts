import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { MemoryHub } from "#federation/bus/memory-bus.ts";
import type { MemoryBus } from "#federation/bus/memory-bus.ts";
import { compareGenerations, objectId } from "#federation/model/replicated-object.ts";
import type { OpenedObject } from "#federation/model/replicated-object.ts";
import type { Generation } from "#federation/model/snapshot.ts";
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
import { MemoryReplicaStore } from "./memory-replica-store.ts";
import { linkSubjects, runPublisher, type ShownBehind } from "./run-publisher.ts";
import { runReceiver } from "./run-receiver.ts";
import type { ReceiverStatus } from "./run-receiver.ts";

type Op =
  | { readonly kind: "put" | "delete" | "tombstone"; readonly key: number }
  | { readonly kind: "restartPublisher" | "restartReceiver" | "failStore" | "cut" | "join" }
  | { readonly kind: "restore"; readonly writes: number }
  | { readonly kind: "wipe" }
  | { readonly kind: "wait"; readonly ms: number };

const op: fc.Arbitrary<Op> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ kind: fc.constantFrom("put", "put", "delete", "tombstone"), key: fc.nat(11) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constantFrom("restartPublisher", "restartReceiver", "failStore", "cut", "join") }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant("wait" as const), ms: fc.integer({ min: 1, max: 2500 }) }) },
);

/** With an older store now and then, a number of writes ago, under the running publisher. */
const rolledBackOp: fc.Arbitrary<Op> = fc.oneof({ weight: 8, arbitrary: op }, { weight: 1, arbitrary: fc.record({ kind: fc.constant("restore" as const), writes: fc.integer({ min: 1, max: 6 }) }) });

/** Whatever happens to those who talk, and nothing that is said. */
const disturbance: fc.Arbitrary<Op> = fc.oneof(
  { weight: 2, arbitrary: fc.record({ kind: fc.constantFrom("restartPublisher", "restartReceiver", "failStore", "cut", "join") }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("wait" as const), ms: fc.integer({ min: 1, max: 2500 }) }) },
);

/** With a store that is emptied now and then, and begins a life of its own. */
const wipedOp: fc.Arbitrary<Op> = fc.oneof({ weight: 10, arbitrary: op }, { weight: 1, arbitrary: fc.record({ kind: fc.constant("wipe" as const) }) });

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

/** One publisher and one receiver on a bus that loses, repeats and delays. */
class World {
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
  readonly shown: ShownBehind[] = [];
  readonly withdrawals = new Map<string, HeldWithdrawals>();
  readonly #brake: BrakeRules | undefined;
  #past: PublishedState[] = [];
  #writes = 0;
  #epoch = 1;
  #term = 0;
  #publisher: Side;
  #receiver: Side;

  constructor(seed: number, brake?: BrakeRules) {
    this.#brake = brake;
    this.#random = createSeededRandom(seed);
    this.#hub.faults = () => this.#fate();
    this.#publisher = this.#startPublisher();
    this.#receiver = this.#startReceiver();
  }

  async apply(next: Op): Promise<void> {
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

  async stop(): Promise<void> {
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
      const value = Buffer.from(String(++this.#writes));
      const object = origins.object("shop-eu", key, revision + 1, { generation, ...(kind === "tombstone" ? { tombstone: true } : { value }) });
      this.store.offered.add(payloadSha256(object.signed));
      next.set(id, object);
    }
    this.#state.set({ revision: revision + 1, objects: next });
  }

  #fate(): readonly number[] {
    const copies = this.#random.next() < 0.25 ? 0 : this.#random.next() < 0.15 ? 2 : 1;
    return Array.from({ length: copies }, () => (this.#random.next() < 0.4 ? 0 : Math.floor(this.#random.next() * 400)));
  }

  #startPublisher(): Side {
    const bus = this.#hub.open("publisher");
    const term = ++this.#term;
    const common = { clock: this.clock, random: this.#random, logger: silentLogger, names, publisherTrustDomain: "shop-eu.example", subjects: this.#subjects };
    const onBehind = (behind: ShownBehind): void => void this.shown.push(behind);
    const options = { ...common, bus, epoch: this.#epoch, term, objects: this.#state, signer: () => origins.signer("shop-eu"), lags: this.lags, standings: new Map(), verifyChain: origins.verifyChain, onBehind };
    return this.#start(bus, (signal) => runPublisher(options, signal));
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

function shown(objects: readonly (readonly [string, OpenedObject])[]): readonly string[] {
  return objects.map(([id, { payload }]) => `${id}@${payload.generation.revision} ${Buffer.from(payload.value).toString()}`).sort();
}

/** However far the publisher comes meanwhile. */
async function expectStill(world: World): Promise<void> {
  const before = world.actual;
  for (let key = 0; key < 12; key++) await world.apply({ kind: "put", key });
  await world.apply({ kind: "restartReceiver" });
  await world.heal();
  expect(world.actual).toEqual(before);
}

describe("replication over a bus that loses, repeats and reorders", () => {
  it("ends equal, invents nothing and brings nothing deleted back, whoever restarts (fast-check prints the seed)", async () => {
    await fc.assert(
      fc.asyncProperty(fc.nat(), fc.array(op, { minLength: 5, maxLength: 40 }), async (seed, ops) => {
        const world = new World(seed);
        try {
          for (const next of ops) await world.apply(next);
          await world.heal();
          expect(world.actual).toEqual(world.expected);
          expect(world.lags.current.get("global")?.behindMs).toBe(0);
          expect(world.statuses.current.get("shop-eu")).toMatchObject({ isBehind: false, needsReconcile: false });
          expect(world.shown).toEqual([]);
        } finally {
          await world.stop();
        }
      }),
      { numRuns: 40 },
    );
  }, 60_000);

  it("holds still over a store that was rolled back, and a decision heals everything to one state (fast-check prints the seed)", async () => {
    await fc.assert(
      fc.asyncProperty(fc.nat(), fc.array(rolledBackOp, { minLength: 5, maxLength: 40 }), async (seed, ops) => {
        const world = new World(seed);
        try {
          for (const next of ops) await world.apply(next);
          await world.heal();
          const status = world.statuses.current.get("shop-eu");
          // Either it was seen, and then whatever is held stays; or nobody had heard of what was lost, and all is as after any other change.
          if (status?.needsReconcileSinceMs !== undefined) await expectStill(world);
          else if (status?.needsReconcile === false) expect(status.isBehind || world.actual.join() === world.expected.join()).toBe(true);
          await world.decide();
          await world.heal();
          expect(world.actual).toEqual(world.expected);
          expect(world.statuses.current.get("shop-eu")).toMatchObject({ isBehind: false, needsReconcile: false, needsReconcileSinceMs: undefined });
        } finally {
          await world.stop();
        }
      }),
      { numRuns: 40 },
    );
  }, 60_000);

  it("with a brake holds all that is offered and nothing that is deleted, and what it holds besides goes at an operator's word (fast-check prints the seed)", async () => {
    await fc.assert(
      fc.asyncProperty(fc.nat(), fc.array(wipedOp, { minLength: 5, maxLength: 40 }), async (seed, ops) => {
        const world = new World(seed, { rightsKinds: [], freeMax: 0 });
        try {
          for (const next of ops) await world.apply(next);
          await world.heal();
          expect(world.actual).toEqual(expect.arrayContaining([...world.expected]));
          for (const id of world.deleted) expect(world.store.objects.has(id)).toBe(false);
          const heldBack = world.withdrawals.get("shop-eu")?.ids() ?? [];
          expect(heldBack.length).toBe(world.actual.length - world.expected.length);
          expect(world.statuses.current.get("shop-eu")).toMatchObject({ isBehind: false, needsReconcile: false, heldBack: heldBack.length });
          await world.letGo();
          expect(world.actual).toEqual(world.expected);
          await world.heal();
          expect(world.actual).toEqual(world.expected);
        } finally {
          await world.stop();
        }
      }),
      { numRuns: 40 },
    );
  }, 60_000);

  it("with a brake loses nothing to a store that was emptied, whoever restarts, and is whole again when it is told anew (fast-check prints the seed)", async () => {
    await fc.assert(
      fc.asyncProperty(fc.nat(), fc.uniqueArray(fc.nat(11), { minLength: 1 }), fc.array(disturbance, { maxLength: 20 }), async (seed, keys, ops) => {
        const world = new World(seed, { rightsKinds: [], freeMax: 0 });
        try {
          for (const key of keys) await world.apply({ kind: "put", key });
          await world.heal();
          const before = world.actual;
          await world.apply({ kind: "wipe" });
          for (const next of ops) await world.apply(next);
          await world.heal();
          expect(world.actual).toEqual(before);
          expect(world.statuses.current.get("shop-eu")).toMatchObject({ heldBack: keys.length });
          for (const key of keys) await world.apply({ kind: "put", key });
          await world.heal();
          expect(world.actual).toEqual(world.expected);
          expect(world.statuses.current.get("shop-eu")).toMatchObject({ heldBack: 0 });
        } finally {
          await world.stop();
        }
      }),
      { numRuns: 40 },
    );
  }, 60_000);

  it("is shown to the publisher by its own signature, also after the receiver has restarted", async () => {
    const world = new World(1);
    try {
      for (const key of [0, 1, 2, 3]) await world.apply({ kind: "put", key });
      await world.heal();
      const before = world.actual;
      await world.apply({ kind: "restore", writes: 3 });
      await world.heal();
      expect(world.statuses.current.get("shop-eu")).toMatchObject({ needsReconcile: true, isBehind: true });
      expect(new Set(world.shown.map(({ epoch, revision, witness }) => `${epoch}.${revision} by ${witness}`))).toEqual(new Set(["1.4 by global"]));
      expect(world.lags.current.get("global")).toMatchObject({ needsReconcile: true, witnessesRefused: 0 });
      await world.apply({ kind: "restartReceiver" });
      await world.apply({ kind: "restartPublisher" });
      world.shown.length = 0;
      await world.heal();
      expect(world.shown.at(-1)).toEqual({ epoch: 1, revision: 4, witness: "global" });
      for (const key of [0, 1, 5, 6, 7, 8, 9]) await world.apply({ kind: "put", key });
      await world.heal();
      expect(world.actual).toEqual(before);
      await world.decide();
      await world.heal();
      expect(world.actual).toEqual(world.expected);
    } finally {
      await world.stop();
    }
  });
});
