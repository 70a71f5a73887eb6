import { expect, it } from "vitest";
import type { Bus } from "#federation/bus/bus.ts";
import { MemoryHub } from "#federation/bus/memory-bus.ts";
import { isInAudience, jwtAuthoritiesKind, objectId } from "#federation/model/replicated-object.ts";
import type { ObjectPayload, OpenedObject } from "#federation/model/replicated-object.ts";
import { createSeededRandom } from "#federation/runtime/random.ts";
import { VirtualClock } from "#federation/runtime/virtual-clock.ts";
import { WatchedValue } from "#federation/runtime/watched.ts";
import { silentLogger } from "#federation/telemetry/logger.ts";
import { decodeAcknowledgement, encodeAcknowledgement } from "#federation/wire/frames.ts";
import { signObject } from "#federation/wire/signed-object.ts";
import { TestOrigins } from "#federation/wire/test-origin.ts";
import type { PublishedState, ReceiverLag } from "../core/publisher.ts";
import type { ReplicaChange, ReplicaCursor } from "../core/replica-state.ts";
import { refusalStandsMs } from "../core/standing-refusals.ts";
import { MemoryReplicaStore } from "./memory-replica-store.ts";
import type { OfferRule } from "./offered-objects.ts";
import { linkSubjects, runPublisher, type StandingOf } from "./run-publisher.ts";
import { runReceiver } from "./run-receiver.ts";
import type { ReceiverStatus } from "./run-receiver.ts";

/** A store whose content is offered on, as the global plane does. */
class RelayStore extends MemoryReplicaStore {
  readonly offer = new WatchedValue<PublishedState>({ revision: 0, objects: new Map() });

  override async commit(changes: readonly ReplicaChange[], cursor: ReplicaCursor): Promise<void> {
    await super.commit(changes, cursor);
    this.offer.set({ revision: this.offer.current.revision + 1, objects: new Map(this.objects) });
  }
}

it("an export goes up to the global plane and down to its audience, with its origin's signature, and a withdrawal follows it", async () => {
  const origins = new TestOrigins();
  const clock = new VirtualClock();
  const hub = new MemoryHub(clock);
  const controller = new AbortController();
  const common = { clock, random: createSeededRandom(7), logger: silentLogger };
  const lags = new WatchedValue<ReadonlyMap<string, ReceiverLag>>(new Map());
  const statuses = new WatchedValue<ReadonlyMap<string, ReceiverStatus>>(new Map());
  const exports = new WatchedValue<PublishedState>({ revision: 0, objects: new Map() });
  const relay = new RelayStore();
  const stores = { "pay-eu": new MemoryReplicaStore(), "pay-us": new MemoryReplicaStore() };
  const globalBus = hub.open("global");

  const up = { names: { federation: "demo.atoll", publisher: "shop-eu", audience: "global" }, publisherTrustDomain: "shop-eu.example", subjects: linkSubjects("up", "shop-eu") };
  const tasks = [
    runPublisher({ ...common, ...up, bus: hub.open("shop-eu"), epoch: 1, term: 1, objects: exports, signer: () => origins.signer("shop-eu"), lags, standings: new Map() }, controller.signal),
    runReceiver({ ...common, ...up, bus: globalBus, origins: "publisher", verifyChain: origins.verifyChain, store: relay, statuses }, controller.signal),
  ];
  for (const cluster of ["pay-eu", "pay-us"] as const) {
    const audienceNames = [`cluster:${cluster}`];
    const down = { names: { federation: "demo.atoll", publisher: "global", audience: cluster }, publisherTrustDomain: "demo.atoll", subjects: linkSubjects("down", cluster) };
    const offer: OfferRule = { offers: ({ audience }) => isInAudience(audience, audienceNames), basis: () => [] };
    tasks.push(
      runPublisher({ ...common, ...down, bus: globalBus, epoch: 1, term: 1, objects: relay.offer, offer, signer: () => origins.signer("global"), lags, standings: new Map() }, controller.signal),
      runReceiver(
        { ...common, ...down, bus: hub.open(cluster), origins: "any", audienceNames, verifyChain: origins.verifyChain, store: stores[cluster], statuses: new WatchedValue<ReadonlyMap<string, ReceiverStatus>>(new Map()) },
        controller.signal,
      ),
    );
  }

  const forOne = origins.object("shop-eu", "web/catalog", 1, { audience: ["cluster:pay-eu"] });
  const forAll = origins.object("shop-eu", "web/storefront", 2);
  exports.set({ revision: 2, objects: new Map([forOne, forAll].map((object) => [objectId(object.payload), object])) });
  await clock.advance(3000);
  expect([...stores["pay-eu"].objects.values()]).toEqual([forOne, forAll]);
  expect([...stores["pay-us"].objects.values()]).toEqual([forAll]);
  for (const receiver of ["global", "pay-eu", "pay-us"]) expect(lags.current.get(receiver)).toMatchObject({ receiver, behindMs: 0 });

  exports.set({ revision: 3, objects: new Map([[objectId(forOne.payload), forOne]]) });
  // No timer has to pass: withdrawals wait for nothing.
  await clock.advance(0);
  await clock.advance(0);
  expect([...stores["pay-eu"].objects.values()]).toEqual([forOne]);
  expect(stores["pay-us"].objects.size).toBe(0);

  controller.abort();
  await Promise.all(tasks);
});

it("a receiver of the version before is not offered the kinds that it refuses, and is level without them; one that takes them lacks them at no moment", async () => {
  const origins = new TestOrigins();
  const clock = new VirtualClock();
  const hub = new MemoryHub(clock);
  const common = { clock, random: createSeededRandom(7), logger: silentLogger };
  const link = { names: { federation: "demo.atoll", publisher: "shop-eu", audience: "global" }, publisherTrustDomain: "shop-eu.example", subjects: linkSubjects("up", "shop-eu") };
  const note = origins.object("shop-eu", "web/catalog", 1);
  const keys = signObject({ ...origins.object("shop-eu", "shop-eu", 2).payload, kind: jwtAuthoritiesKind }, origins.signer("shop-eu"));
  const objects = new WatchedValue<PublishedState>({ revision: 9, objects: new Map([note, keys].map((object) => [objectId(object.payload), object])) });
  const lags = new WatchedValue<ReadonlyMap<string, ReceiverLag>>(new Map());
  const statuses = new WatchedValue<ReadonlyMap<string, ReceiverStatus>>(new Map());
  const store = new RelayStore();
  let areAcknowledgementsLost = false;
  const publish = (term: number, signal: AbortSignal): Promise<void> => runPublisher({ ...common, ...link, bus: hub.open("shop-eu"), epoch: 1, term, objects, signer: () => origins.signer("shop-eu"), lags, standings: new Map() }, signal);
  const receive = (isOlder: boolean, signal: AbortSignal): Promise<void> => {
    const bus = hub.open("global");
    const acknowledging: Bus = {
      state: bus.state,
      subscribe: bus.subscribe.bind(bus),
      request: bus.request.bind(bus),
      publish: (subject, payload) => {
        if (subject !== link.subjects.ack) bus.publish(subject, payload);
        else if (!areAcknowledgementsLost) bus.publish(subject, isOlder ? encodeAcknowledgement({ ...decodeAcknowledgement(payload), takes: [] }) : payload);
      },
      [Symbol.asyncDispose]: bus[Symbol.asyncDispose].bind(bus),
    };
    const admits = ({ kind }: ObjectPayload): boolean => !isOlder || kind !== jwtAuthoritiesKind;
    return runReceiver({ ...common, ...link, bus: acknowledging, admits, origins: "publisher", verifyChain: origins.verifyChain, store, statuses }, signal);
  };
  const publishing = new AbortController();
  const published = publish(1, publishing.signal);
  const before = new AbortController();
  const received = receive(true, before.signal);
  await clock.advance(20_000);
  expect([...store.objects.values()]).toEqual([note]);
  expect(lags.current.get("global")).toMatchObject({ refused: [], behindMs: 0 });
  // Known to be whole with the last heartbeat, and not only once.
  expect(clock.monotonicMs() - (statuses.current.get("shop-eu")?.wholeAtMonotonicMs ?? 0)).toBeLessThan(2_000);
  before.abort();
  await received;

  const now = new AbortController();
  const again = receive(false, now.signal);
  await clock.advance(3_000);
  expect([...store.objects.values()]).toEqual([note, keys]);
  const held: number[] = [];
  const watching = (async () => {
    for await (const offer of store.offer.changes(now.signal)) held.push(offer.objects.size);
  })();
  publishing.abort();
  await published;
  const next = new AbortController();
  areAcknowledgementsLost = true;
  const publishedAgain = publish(2, next.signal);
  await clock.advance(5_000);
  areAcknowledgementsLost = false;
  await clock.advance(5_000);
  expect(new Set(held), "a publisher that begins anew offers all until it is shown otherwise").toEqual(new Set([2]));
  for (const stop of [now, next]) stop.abort();
  await Promise.all([again, publishedAgain, watching]);
});

it("a publisher hears which of its objects are refused, by word or after a restart, and that a better form is not", async () => {
  const origins = new TestOrigins();
  const clock = new VirtualClock();
  const hub = new MemoryHub(clock);
  const common = { clock, random: createSeededRandom(7), logger: silentLogger };
  const link = { names: { federation: "demo.atoll", publisher: "shop-eu", audience: "global" }, publisherTrustDomain: "shop-eu.example", subjects: linkSubjects("up", "shop-eu") };
  const good = origins.object("shop-eu", "web/catalog", 1);
  const forged = signObject(origins.object("shop-eu", "web/storefront", 2).payload, origins.signer("shop-us"));
  const stateOf = (...objects: readonly OpenedObject[]): PublishedState => ({ revision: 9, objects: new Map(objects.map((object) => [objectId(object.payload), object])) });
  const objects = new WatchedValue(stateOf(good));
  const standings = new Map<string, StandingOf>();
  const lags = new WatchedValue<ReadonlyMap<string, ReceiverLag>>(new Map());
  const refused = (): unknown => lags.current.get("global")?.refused;
  const standing = (object: OpenedObject): unknown => standings.get("global")?.(objectId(object.payload));
  const store = new MemoryReplicaStore();
  const publishing = new AbortController();
  const published = runPublisher({ ...common, ...link, bus: hub.open("shop-eu"), epoch: 1, term: 1, objects, signer: () => origins.signer("shop-eu"), lags, standings }, publishing.signal);
  const receive = (signal: AbortSignal): Promise<void> => runReceiver({ ...common, ...link, bus: hub.open("global"), origins: "publisher", verifyChain: origins.verifyChain, store, statuses: new WatchedValue(new Map()) }, signal);
  const first = new AbortController();
  const received = receive(first.signal);

  await clock.advance(3_000);
  expect(standing(good)).toMatchObject({ isAcknowledged: true });
  objects.set(stateOf(good, forged));
  await clock.advance(3_000);
  expect(standing(good)).toEqual({ generation: good.payload.generation, isWithdrawn: false, isAcknowledged: true });
  expect(standing(forged)).toEqual({ generation: forged.payload.generation, isWithdrawn: false, isAcknowledged: true, refusal: "signature" });
  expect(refused()).toEqual([]);
  await clock.advance(refusalStandsMs);
  expect(refused()).toEqual([{ id: objectId(forged.payload), reason: "signature" }]);

  first.abort();
  await received;
  const second = new AbortController();
  const again = receive(second.signal);
  await clock.advance(3_000);
  expect(standing(forged)).toMatchObject({ isAcknowledged: true, refusal: "signature" });
  const better = origins.object("shop-eu", "web/storefront", 3);
  objects.set(stateOf(good, better));
  await clock.advance(3_000);
  expect(standing(better)).toEqual({ generation: better.payload.generation, isWithdrawn: false, isAcknowledged: true });
  expect(refused()).toEqual([]);

  second.abort();
  publishing.abort();
  await Promise.all([published, again]);
  expect(standings.size).toBe(0);
});
