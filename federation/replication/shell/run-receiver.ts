import { decodeFrame, decodeHeartbeat, encodeAcknowledgement } from "#federation/wire/frames.ts";
import { witnessBytesMax } from "#federation/wire/limits.ts";
import { openObject, verifyObject } from "#federation/wire/signed-object.ts";
import type { VerifyChain } from "#federation/wire/signed-object.ts";
import { laterKinds, type OpenedObject, type SignedObject } from "#federation/model/replicated-object.ts";
import type { Heartbeat, LinkNames } from "#federation/model/replication-messages.ts";
import { noStaleOrigins, originAgeMs, type StaleOrigins } from "#federation/model/stale-origins.ts";
import type { Bus } from "#federation/bus/bus.ts";
import { AsyncQueue } from "#federation/runtime/async-queue.ts";
import { sleep } from "#federation/runtime/clock.ts";
import type { Clock } from "#federation/runtime/clock.ts";
import { AtollError, describeError, isAtollError } from "#federation/runtime/errors.ts";
import { isAbort, runTasks } from "#federation/runtime/lifecycle.ts";
import { inTurns } from "#federation/runtime/turns.ts";
import type { WatchedValue } from "#federation/runtime/watched.ts";
import type { Logger } from "#federation/telemetry/logger.ts";
import { AnswerParts } from "../core/answer-parts.ts";
import { HeartbeatOrder } from "../core/heartbeat-order.ts";
import type { Doubled } from "../core/incarnations.ts";
import { PublisherClock } from "../core/publisher-clock.ts";
import { ReceiverCore, type ReceiverStep } from "../core/receiver.ts";
import type { ReceiverRules } from "../core/receiver-rules.ts";
import type { RefusalReason } from "../core/refusal-reason.ts";
import { acknowledgedRefusals } from "../core/refused-objects.ts";
import type { ReplicaChange, ReplicaCursor, ReplicaState } from "../core/replica-state.ts";
import { gatherAnswer } from "./gather-answer.ts";
import { OperatorWords } from "./operator-words.ts";
import type { ReplicaStore } from "./replica-store.ts";
import type { HeldWithdrawals } from "./held-withdrawals.ts";
import type { LinkSubjects } from "./run-publisher.ts";

/** How old what is held of an origin is, by the word of who relays it; undefined when nobody knows. The wall clock of neither matters. */
export function heldAgeMs({ wholeAtMonotonicMs, staleOrigins = noStaleOrigins }: Pick<ReceiverStatus, "wholeAtMonotonicMs" | "staleOrigins">, origin: string, nowMs: number): number | undefined {
  return wholeAtMonotonicMs === undefined ? undefined : originAgeMs(staleOrigins, origin, nowMs - wholeAtMonotonicMs);
}

/** What is known of one publisher. */
export interface ReceiverStatus {
  readonly publisher: string;
  readonly cursor: ReplicaCursor;
  /** Something is known to be missing, or nothing was ever heard. */
  readonly isBehind: boolean;
  /** The publisher's store was rolled back behind what it had told us: nothing is applied. */
  readonly needsReconcile: boolean;
  /** Wall-clock ms since when that is beyond doubt and ends by an operator's decision alone; undefined while it is not. */
  readonly needsReconcileSinceMs?: number | undefined;
  /** Present while two processes speak as the publisher: nothing is applied of either. */
  readonly doubled?: Doubled | undefined;
  /** Monotonic ms of our clock at the last heartbeat whose digests were ours: our copy was whole then. Its age is the age of what we know. */
  readonly wholeAtMonotonicMs: number | undefined;
  /** What the publisher said then of those whom it relays. */
  readonly staleOrigins?: StaleOrigins;
  /** Monotonic ms of our clock at the last fresh heartbeat. */
  readonly heardAtMonotonicMs: number | undefined;
  /** The publisher's clock less ours, ms; undefined while too little of it was heard. */
  readonly clockAheadMs?: number | undefined;
  readonly refused: ReadonlyMap<RefusalReason, number>;
  /** Objects that were taken anew at the generation that was held, with another content: after a change of versions, or of a store that was rolled back. */
  readonly rewritten?: number;
  /** Objects that the publisher has withdrawn and that are held all the same, until that is explained or let go. */
  readonly heldBack?: number;
  /** Parts of answers that did not come when they were asked for, the first ones among them. */
  readonly partsLost?: number;
}

export interface ReceiverOptions extends Omit<ReceiverRules, "open" | "isAuthentic"> {
  readonly bus: Bus;
  readonly clock: Clock;
  readonly logger: Logger;
  /** `audience` is our own name in acknowledgements. */
  readonly names: LinkNames;
  /** Must be the trust domain of the publisher's heartbeats. */
  readonly publisherTrustDomain: string;
  readonly subjects: LinkSubjects;
  readonly verifyChain: VerifyChain;
  readonly store: ReplicaStore;
  /** This link's entry (key: `names.publisher`) is kept current; several receivers share the map. */
  readonly statuses: WatchedValue<ReadonlyMap<string, ReceiverStatus>>;
  /** Has this link's entry (key: `names.publisher`) while it runs; several receivers share the map. */
  readonly withdrawals?: Map<string, HeldWithdrawals>;
}

/** Messages waiting while a commit or a fetch is under way; what does not fit is lost and found again as a gap. */
const inboxCapacity = 1024;

/** Changes made durable together at most. */
const commitChangesMax = 512;

/** In place of a stream, while none is followed and there is something to show all the same. */
const noStream = "none";

/** Before the store is tried again, in ms. */
const storeRetryMs = 1000;

/** `heardMs` is when it came, monotonic, and what it is judged by: it may wait for as long as a fetch takes, and tells of no later time. */
type Input = { readonly kind: "frame" | "heartbeat"; readonly payload: Uint8Array; readonly heardMs: number } | { readonly kind: "wake" };

/**
 * Applies what one publisher offers until `signal` aborts. A store that fails is tried again from what it really
 * holds, a bus that fails is waited for.
 */
export async function runReceiver(options: ReceiverOptions, signal: AbortSignal): Promise<void> {
  const { clock, logger, names } = options;
  try {
    while (!signal.aborted) {
      try {
        const core = await beginFrom(await options.store.load(signal), options);
        await runSession(new Session(core, options), options, signal);
      } catch (error) {
        if (signal.aborted && isAbort(error)) return;
        if (!isAtollError(error)) throw error;
        logger.warn("receiving was interrupted and starts again from the store", { code: error.code, error: describeError(error), publisher: names.publisher });
        await sleepUnlessAborted(clock, storeRetryMs, signal);
      }
    }
  } finally {
    options.statuses.set(new Map([...options.statuses.current].filter(([publisher]) => publisher !== names.publisher)));
  }
}

/** In turns: what is held may be the services of a whole mesh. */
async function beginFrom({ live, ...state }: ReplicaState, options: ReceiverOptions): Promise<ReceiverCore> {
  const core = new ReceiverCore({ ...options, open, isAuthentic: (object) => isAuthentic(options, object) }, { ...state, live: new Map() });
  await inTurns(live, ([id, held]) => core.restore(id, held));
  return core;
}

async function sleepUnlessAborted(clock: Clock, delayMs: number, signal: AbortSignal): Promise<void> {
  try {
    await sleep(clock, delayMs, signal);
  } catch (error) {
    if (!isAbort(error)) throw error;
  }
}

async function runSession(session: Session, { bus, clock, subjects }: ReceiverOptions, signal: AbortSignal): Promise<void> {
  const read = (kind: "frame" | "heartbeat", subject: string) => async (taskSignal: AbortSignal) => {
    for await (const { payload } of bus.subscribe(subject, taskSignal)) session.inbox.push({ kind, payload, heardMs: clock.monotonicMs() });
  };
  await runTasks([read("frame", subjects.frame), read("heartbeat", subjects.heartbeat), (taskSignal) => session.run(taskSignal)], signal);
}

/** One run over a state that the store gave: inputs are taken one after the other. */
class Session {
  readonly inbox = new AsyncQueue<Input>({ capacity: inboxCapacity });
  readonly #core: ReceiverCore;
  readonly #options: ReceiverOptions;
  #changes: ReplicaChange[] = [];
  #cursor: ReplicaCursor | undefined;
  #committed: ReplicaCursor | undefined;
  #wake: Disposable | undefined;
  readonly #order = new HeartbeatOrder();
  readonly #publisherClock = new PublisherClock();
  /** What another incarnation of the publisher has said last; for the next acknowledgement. */
  #rival: Uint8Array | undefined;
  #heardAtMonotonicMs: number | undefined;
  #wholeAtMonotonicMs: number | undefined;
  #staleOrigins = noStaleOrigins;
  #partsLost = 0;
  readonly #words = new OperatorWords();

  constructor(core: ReceiverCore, options: ReceiverOptions) {
    this.#core = core;
    this.#options = options;
  }

  async run(signal: AbortSignal): Promise<void> {
    const { names, withdrawals } = this.#options;
    withdrawals?.set(names.publisher, { ids: () => [...this.#core.heldBack.keys()], letGo: async (epoch) => await this.#letGo(epoch) });
    try {
      this.#reportStatus();
      for await (const input of this.inbox.drain(signal)) {
        this.#take(input);
        this.#takeWords();
        // While more is waiting, commit it together.
        if (this.inbox.size > 0 && this.#changes.length < commitChangesMax) continue;
        await this.#commit(signal);
        if (this.#core.fetchDelayMs(this.#nowMs()) === 0) await this.#fetch(signal);
        this.#scheduleWake();
        this.#reportStatus();
      }
    } finally {
      withdrawals?.delete(names.publisher);
      this.#words.refuse(new AtollError("ATOLL_STORE_UNAVAILABLE", "receiving was interrupted: try again"));
      this.#wake?.[Symbol.dispose]();
    }
  }

  async #letGo(epoch: number | undefined): Promise<number> {
    if (!this.inbox.push({ kind: "wake" })) throw new AtollError("ATOLL_STORE_UNAVAILABLE", "too much is waiting to be received: try again");
    return await this.#words.say(epoch);
  }

  #take(input: Input): void {
    if (input.kind === "wake") return;
    const { logger, names } = this.#options;
    try {
      if (input.kind === "heartbeat") this.#takeHeartbeat(input.payload, input.heardMs);
      else this.#hold(() => this.#core.onFrame(decodeFrame(input.payload), input.heardMs));
    } catch (error) {
      if (!isAtollError(error)) throw error;
      logger.warn("a message of the bus was refused", { code: error.code, error: describeError(error), publisher: names.publisher });
    }
  }

  /** True when there were any. */
  #takeWords(): boolean {
    return this.#words.take((epoch) => {
      const step = this.#core.letGo(epoch);
      this.#keep(step);
      return step.changes.length;
    });
  }

  #takeHeartbeat(payload: Uint8Array, heardMs: number): void {
    const { verifyChain, publisherTrustDomain } = this.#options;
    const heartbeat = decodeHeartbeat(payload, verifyChain);
    if (heartbeat.publisherTrustDomain !== publisherTrustDomain) {
      throw new AtollError("ATOLL_SIGNATURE_INVALID", "a heartbeat signed in another trust domain than the publisher's");
    }
    const wasBehind = this.#core.behind !== undefined;
    const wasDoubled = this.#core.doubled !== undefined;
    const outcome = this.#core.onHeartbeat(heartbeat, { nowMs: heardMs, wallMs: Math.floor(this.#options.clock.nowMs()), encoded: new Uint8Array(payload) });
    if (!wasBehind && this.#core.behind !== undefined) this.#logBehind(heartbeat);
    if (wasDoubled !== (this.#core.doubled !== undefined)) this.#logDoubled();
    this.#rival = this.#core.rivalOf(heartbeat, heardMs);
    if (outcome !== "ignored" && this.#order.isNews(heartbeat)) {
      this.#heardAtMonotonicMs = heardMs;
      const { clock } = this.#options;
      this.#publisherClock.hear(heartbeat, clock.nowMs() - (clock.monotonicMs() - heardMs));
      if (outcome === "equal") {
        this.#wholeAtMonotonicMs = heardMs;
        this.#staleOrigins = heartbeat.staleOrigins ?? noStaleOrigins;
      }
    }
    // Acknowledgements may be lost like everything else, so each heartbeat asks for the last one again.
    this.#cursor ??= this.#core.cursor;
  }

  #logBehind({ epoch, revision }: Heartbeat): void {
    const { logger, names } = this.#options;
    const { witness } = this.#core;
    logger.error("The store of a publisher is behind what it had told: nothing of this epoch is applied any more, until an operator begins the next one there.", {
      publisher: names.publisher,
      epoch,
      revision,
      ...(witness === undefined ? {} : { witnessedEpoch: witness.epoch, witnessedRevision: witness.revision }),
    });
  }

  #logDoubled(): void {
    const { logger, names } = this.#options;
    const { doubled } = this.#core;
    if (doubled === undefined) logger.warn("A publisher is one process again: what it offers is applied again.", { publisher: names.publisher });
    else logger.error("Two processes speak as one publisher: nothing of either is applied, until one is silent or an operator names the other.", { publisher: names.publisher, incarnations: doubled.incarnations });
  }

  /** Takes a step that may withdraw, and says so when more is withdrawn than goes. */
  #hold(step: () => ReceiverStep): void {
    const wasHolding = this.#core.heldBack.size > 0;
    this.#keep(step());
    const { heldBack } = this.#core;
    if (wasHolding || heldBack.size === 0) return;
    const { logger, names } = this.#options;
    logger.error("More was withdrawn at once than is believed without a signed deletion: it is held until it is offered again or an operator lets it go.", { publisher: names.publisher, objects: heldBack.size, first: [...heldBack.keys()].slice(0, 5) });
  }

  #keep({ changes, cursor }: ReceiverStep): void {
    this.#changes.push(...changes);
    if (cursor !== undefined) this.#cursor = cursor;
  }

  async #commit(signal: AbortSignal): Promise<void> {
    const cursor = this.#cursor;
    if (cursor === undefined) return;
    const changes = this.#changes;
    this.#changes = [];
    this.#cursor = undefined;
    if (changes.length > 0 || cursor !== this.#committed) {
      await this.#options.store.commit(changes, cursor, signal);
      this.#committed = cursor;
    }
    this.#words.answer();
    this.#acknowledge(cursor);
  }

  #acknowledge({ stream, seq }: ReplicaCursor): void {
    if (stream === "" && this.#rival === undefined) return;
    const { bus, clock, logger, names, subjects } = this.#options;
    try {
      const { needsReconcile, refusedObjects, heldBack } = this.#core;
      const applied = { receiver: names.audience, stream: stream === "" ? noStream : stream, seq, appliedAtMs: Math.floor(clock.nowMs()), ...acknowledgedRefusals(refusedObjects, heldBack), takes: laterKinds };
      bus.publish(subjects.ack, encodeAcknowledgement({ ...applied, needsReconcile, ...this.#shown() }));
    } catch (error) {
      if (!isAtollError(error)) throw error;
      logger.debug("an acknowledgement was lost", { code: error.code, publisher: names.publisher });
    }
  }

  /** What the publisher needs to see when it has fallen behind, or is not alone: one of the two, since an acknowledgement has room for one. */
  #shown(): { readonly witness?: Uint8Array; readonly rival?: Uint8Array } {
    const { behind, witness } = this.#core;
    if (behind !== undefined && witness !== undefined && witness.heartbeat.length <= witnessBytesMax) return { witness: witness.heartbeat };
    return this.#rival === undefined || this.#rival.length > witnessBytesMax ? {} : { rival: this.#rival };
  }

  /** Frames and heartbeats wait in the inbox meanwhile. An operator's word does not: it changes nothing of what was asked. */
  async #fetch(signal: AbortSignal): Promise<void> {
    const { bus, clock, subjects } = this.#options;
    const answer = new AnswerParts(this.#core.fetch(this.#nowMs()));
    this.#reportStatus();
    const onLost = (error: AtollError, waitMs: number | undefined): void => this.#reportLoss(answer, error, waitMs);
    const between = async (): Promise<void> => {
      if (this.#takeWords()) await this.#commit(signal);
    };
    // The core asks anew after its backoff for what was given up.
    if (!(await gatherAnswer(answer, { bus, clock, subject: subjects.fetch, onLost, between }, signal))) return;
    this.#hold(() => this.#core.onAnswer(answer.parts, this.#nowMs()));
    await this.#commit(signal);
  }

  #reportLoss(answer: AnswerParts, error: AtollError, waitMs: number | undefined): void {
    const { logger, names } = this.#options;
    this.#partsLost++;
    this.#reportStatus();
    const facts = { code: error.code, error: describeError(error), publisher: names.publisher, partsHad: answer.parts.length, parts: answer.parts[0]?.parts };
    if (waitMs === undefined) logger.info("a fetch got no answer", facts);
    else if (answer.lost === 1) logger.info("a part of an answer was lost and is asked for again; others of this answer may be without a word", facts);
  }

  #scheduleWake(): void {
    this.#wake?.[Symbol.dispose]();
    const delayMs = this.#core.fetchDelayMs(this.#nowMs());
    if (delayMs !== undefined) this.#wake = this.#options.clock.schedule(delayMs, () => this.inbox.push({ kind: "wake" }));
  }

  #reportStatus(): void {
    const { names, statuses } = this.#options;
    const status: ReceiverStatus = {
      publisher: names.publisher,
      cursor: this.#core.cursor,
      isBehind: this.#core.isBehind,
      needsReconcile: this.#core.needsReconcile,
      needsReconcileSinceMs: this.#core.behind?.sinceMs,
      doubled: this.#core.doubled,
      wholeAtMonotonicMs: this.#wholeAtMonotonicMs,
      staleOrigins: this.#staleOrigins,
      heardAtMonotonicMs: this.#heardAtMonotonicMs,
      clockAheadMs: this.#publisherClock.aheadMs,
      refused: new Map(this.#core.refused),
      rewritten: this.#core.rewritten,
      heldBack: this.#core.heldBack.size,
      partsLost: this.#partsLost,
    };
    statuses.set(new Map([...statuses.current, [names.publisher, status]]));
  }

  #nowMs(): number {
    return this.#options.clock.monotonicMs();
  }
}

function open(signed: SignedObject): OpenedObject | undefined {
  try {
    return openObject(signed);
  } catch (error) {
    if (isAtollError(error)) return undefined;
    throw error;
  }
}

function isAuthentic({ verifyChain, logger, names }: ReceiverOptions, object: OpenedObject): boolean {
  try {
    verifyObject(object.signed, verifyChain);
    return true;
  } catch (error) {
    if (!isAtollError(error)) throw error;
    logger.warn("a replicated object was refused", { code: error.code, error: describeError(error), publisher: names.publisher });
    return false;
  }
}
