import type { Bus } from "#federation/bus/bus.ts";
import { MemoryHub } from "#federation/bus/memory-bus.ts";
import { objectId } from "#federation/model/replicated-object.ts";
import type { FetchRequest } from "#federation/model/replication-messages.ts";
import { sleep, type Clock } from "#federation/runtime/clock.ts";
import { AtollError } from "#federation/runtime/errors.ts";
import { createSeededRandom } from "#federation/runtime/random.ts";
import { VirtualClock } from "#federation/runtime/virtual-clock.ts";
import { WatchedValue } from "#federation/runtime/watched.ts";
import { silentLogger } from "#federation/telemetry/logger.ts";
import { decodeFetchRequest } from "#federation/wire/frames.ts";
import { TestOrigins } from "#federation/wire/test-origin.ts";
import type { PublishedState, ReceiverLag } from "../core/publisher.ts";
import type { ReplicaChange, ReplicaCursor } from "../core/replica-state.ts";
import type { BrakeRules } from "../core/withdrawal-brake.ts";
import type { HeldWithdrawals } from "./held-withdrawals.ts";
import { MemoryReplicaStore } from "./memory-replica-store.ts";
import { linkSubjects, runPublisher } from "./run-publisher.ts";
import { runReceiver, type ReceiverStatus } from "./run-receiver.ts";

const origins = new TestOrigins();
const link = { names: { federation: "demo.atoll", publisher: "shop-eu", audience: "global" }, publisherTrustDomain: "shop-eu.example", subjects: linkSubjects("up", "shop-eu") };

/** Two of them do not fit one part. */
const objectBytes = 150 * 1024;

class CountingStore extends MemoryReplicaStore {
  commits = 0;

  override async commit(changes: readonly ReplicaChange[], cursor: ReplicaCursor): Promise<void> {
    this.commits++;
    await super.commit(changes, cursor);
  }
}

interface Side {
  stop(): Promise<void>;
}

/** One publisher of large objects, each of which is a part of an answer, and one receiver, whose requests are answered too late where `loses` says so. */
export class LosingLink {
  readonly clock = new VirtualClock();
  readonly hub = new MemoryHub(this.clock);
  readonly store = new CountingStore();
  readonly statuses = new WatchedValue<ReadonlyMap<string, ReceiverStatus>>(new Map());
  readonly withdrawals = new Map<string, HeldWithdrawals>();
  readonly subjects = link.subjects;
  /** What the receiver has asked, in order. */
  readonly asked: FetchRequest[] = [];
  /** Whether the answer to the request that was just made is lost. */
  loses: (request: FetchRequest) => boolean = () => false;
  /** How long an answer is on its way, in ms. */
  answerMs: () => number = () => 0;
  /** How many requests were under way at once, at most. */
  mostAtOnce = 0;
  /** The publisher's wall clock less the receiver's. */
  publisherAheadMs = 0;
  readonly #state = new WatchedValue<PublishedState>({ revision: 0, objects: new Map() });
  readonly receiverBus = this.hub.open("receiver");
  #term = 0;
  #publisher: Side;
  readonly #receiver: Side;

  constructor(objects: number, brake?: BrakeRules) {
    this.put(objects);
    this.#publisher = this.#startPublisher();
    const bus = losing(this.receiverBus, this);
    const rules = { origins: "publisher" as const, verifyChain: origins.verifyChain, ...(brake === undefined ? {} : { brake }) };
    const options = { ...link, ...rules, clock: this.clock, logger: silentLogger, bus, store: this.store, statuses: this.statuses, withdrawals: this.withdrawals };
    this.#receiver = start((signal) => runReceiver(options, signal));
  }

  /** Offers so many objects more. */
  put(objects: number): void {
    const { revision, objects: before } = this.#state.current;
    const more = Array.from({ length: objects }, (_, index) => origins.object("shop-eu", `k${revision + index}`, revision + index + 1, { value: new Uint8Array(objectBytes) }));
    this.#state.set({ revision: revision + objects, objects: new Map([...before, ...more.map((object) => [objectId(object.payload), object] as const)]) });
  }

  /** Offers the oldest of them no longer. */
  withdraw(objects: number): void {
    const { revision, objects: before } = this.#state.current;
    this.#state.set({ revision: revision + 1, objects: new Map([...before].slice(objects)) });
  }

  get status(): ReceiverStatus | undefined {
    return this.statuses.current.get("shop-eu");
  }

  /** What was asked, in short: "?" for a question, and the number of a part. */
  get askedInShort(): string {
    return this.asked.map((request) => (request.kind === "part" ? `${request.part}` : "?")).join(" ");
  }

  /** How often a part was asked for. */
  timesAsked(part: number): number {
    return this.asked.filter((request) => request.kind === "part" && request.part === part).length;
  }

  /** Moves time on until `isSo`. */
  async until(isSo: () => boolean): Promise<void> {
    for (let steps = 0; !isSo(); steps++) {
      if (steps > 600) throw new Error("it never came to that");
      await this.clock.advance(100);
    }
  }

  async restartPublisher(): Promise<void> {
    await this.#publisher.stop();
    this.#publisher = this.#startPublisher();
  }

  async stopReceiver(): Promise<void> {
    await this.#receiver.stop();
  }

  async stop(): Promise<void> {
    await this.#receiver.stop();
    await this.#publisher.stop();
  }

  #startPublisher(): Side {
    const { clock } = this;
    const publisherClock: Clock = { nowMs: () => clock.nowMs() + this.publisherAheadMs, monotonicMs: () => clock.monotonicMs(), schedule: (delayMs, callback) => clock.schedule(delayMs, callback) };
    const common = { ...link, clock: publisherClock, random: createSeededRandom(++this.#term), logger: silentLogger, bus: this.hub.open("publisher") };
    const lags = new WatchedValue<ReadonlyMap<string, ReceiverLag>>(new Map());
    return start((signal) => runPublisher({ ...common, epoch: 1, term: this.#term, objects: this.#state, signer: () => origins.signer("shop-eu"), lags, standings: new Map() }, signal));
  }
}

/** A bus whose answers are lost on their way back: whoever was asked has given them. */
function losing(bus: Bus, world: Pick<LosingLink, "clock" | "asked" | "loses" | "answerMs" | "mostAtOnce">): Bus {
  let underWay = 0;
  return {
    state: bus.state,
    publish: (subject, payload) => bus.publish(subject, payload),
    subscribe: (pattern, signal) => bus.subscribe(pattern, signal),
    [Symbol.asyncDispose]: () => bus[Symbol.asyncDispose](),
    async request(subject, payload, timeoutMs, signal) {
      const request = decodeFetchRequest(payload);
      world.asked.push(request);
      world.mostAtOnce = Math.max(world.mostAtOnce, ++underWay);
      try {
        const isLost = world.loses(request);
        const answer = await bus.request(subject, payload, timeoutMs, signal);
        const answerMs = isLost ? timeoutMs : world.answerMs();
        if (answerMs > 0) await sleep(world.clock, Math.min(answerMs, timeoutMs), signal);
        if (answerMs >= timeoutMs) throw new AtollError("ATOLL_BUS_TIMEOUT", "told to lose it");
        return answer;
      } finally {
        underWay--;
      }
    },
  };
}

function start(run: (signal: AbortSignal) => Promise<void>): Side {
  const controller = new AbortController();
  const done = run(controller.signal);
  return {
    stop: async () => {
      controller.abort();
      await done;
    },
  };
}
