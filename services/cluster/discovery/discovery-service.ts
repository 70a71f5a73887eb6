import { status, type handleBidiStreamingCall, type ServerDuplexStream } from "@grpc/grpc-js";
import { isFruitless, proxyNameMax, type ProxyRecord } from "#federation/catalog/records.ts";
import type { SpiffeId } from "#federation/model/names.ts";
import type { Generation } from "#federation/model/snapshot.ts";
import { proxyReturnMs } from "#federation/model/proxy-return.ts";
import type { Clock } from "#federation/runtime/clock.ts";
import { changedKeys, type OrderedMap } from "#federation/runtime/ordered-map.ts";
import type { Watched } from "#federation/runtime/watched.ts";
import type { Logger } from "#federation/telemetry/logger.ts";
import type { DeltaRequest, DeltaResponse } from "#federation/wire/discovery-messages.ts";
import { presenceOf, processOf, type Presence } from "#federation/wire/discovery-presence.ts";
import { endCall } from "#federation/wire/end-call.ts";
import { streamNamesMax } from "#federation/wire/limits.ts";
import type { ClusterState } from "../cluster-state.ts";
import { DeltaStream, type VersionStanding } from "./delta-stream.ts";
import { advance, afterEvent, dueMs, isWaiting, type CanaryMoment, type CanaryState, type StoppedForm } from "./canary/canary-state.ts";
import { CanaryTables } from "./canary/canary-tables.ts";
import { canaryPatienceMs, type CanaryCandidate, type EndsInQuestion, type OtherStreams, type Trial, type TrialEvent } from "./canary/canary-trial.ts";
import { canaryRows, heldBackOf, policyName, type CanaryRow, type HeldBack } from "./canary/canary-rows.ts";
import type { Subscriber } from "./discovery-tables.ts";
import { LostProxies, nothingTaken, type LostProxy } from "./lost-proxies.ts";
import { proxyKey, ProxyRoll } from "./proxy-roll.ts";

/**
 * What a plane waits for beyond the time of a trial, in ms: after a stall of its own event loop timers fire before the bytes that came
 * meanwhile, and the end of a canary's stream may be among these.
 */
const pollMs = 5;

/** How often a plane looks whether there is a proxy by now that a policy can be tried with. */
const lookAgainMs = 1_000;

/** How long an end of a stream is known, in ms: longer than from some time before a canary's first end to the verdict about it. */
const endsKeptMs = 5 * canaryPatienceMs;

/** Most proxies that one plane serves; a further one is told to come back later. */
export const discoveryStreamsMax = 10_000;

/** One connected proxy, for status and metrics. */
export interface ConnectedProxy {
  readonly nodeId: string;
  readonly identity: SpiffeId;
  readonly kind: Subscriber["kind"];
  readonly connectedAtMs: number;
  /** True when everything it subscribes to has been acknowledged. */
  readonly isLevel: boolean;
  /** For how long it has not answered what it was sent, in ms; 0 when it has answered all. */
  readonly unansweredMs: number;
  readonly nacks: number;
  /** What it said of the last response it refused; empty when it never did. */
  readonly lastNack: string;
}

/** What one proxy has of a resource: a connected one, or one that had it when it fell silent. */
export interface ProxyStanding {
  readonly name: string;
  readonly standing: VersionStanding;
  /** For how long it has not answered what it was sent, in ms; absent where it owes nothing. */
  readonly unansweredMs?: number;
}

/** Who has a resource in this cluster. */
export interface HeldBy {
  /** It is in what proxies are told. */
  readonly isHeld: boolean;
  readonly proxies: readonly ProxyStanding[];
  /** Those whose stream has ended before they had it: what these have is not known. */
  readonly lost: readonly LostProxy[];
  /** For so long proxies that are not known here may still come back to a plane that has just begun to serve, in ms. */
  readonly unsettledMs: number;
  /** Why not all are told of it; absent where they are, and of kinds that never wait. */
  readonly heldBack?: HeldBack;
}

interface Connected {
  readonly stream: DeltaStream;
  readonly subscriber: Subscriber;
  readonly connectedAtMs: number;
  /** Monotonic ms. */
  readonly beganMs: number;
  nodeId: string;
  /** What it said of it last; nothing where it does not know how. */
  presence: Presence | undefined;
  /** Undefined where it does not say. */
  process: string | undefined;
  nacks: number;
  lastNack: string;
}

export interface DiscoveryServiceOptions {
  readonly logger: Logger;
  readonly clock: Clock;
  /** Those of an earlier term may come back. */
  readonly hadProxies: boolean;
  /** As in `ProxyRollOptions`. */
  readonly identityMs: number;
  /** As in `ProxyRollOptions`. */
  readonly known?: OrderedMap<ProxyRecord> | undefined;
  /** What an earlier term told all proxies of policies; undefined where none did. */
  readonly told?: CanaryState | undefined;
  /** Hears of each refused response. */
  readonly onNack: (typeUrl: string) => void;
}

/** Who a call's certificate says it is; undefined where it may not ask. */
export type IdentifySubscriber = (call: ServerDuplexStream<DeltaRequest, DeltaResponse>) => Subscriber | undefined;

/** Delta ADS for this cluster's proxies: every stream is level with the newest state, or on its way there. */
export class DiscoveryService {
  readonly #tables: CanaryTables;
  readonly #state: Watched<ClusterState>;
  readonly #connected = new Set<Connected>();
  /** The last stream of each proxy that has said who it is. */
  readonly #byKey = new Map<string, Connected>();
  readonly #logger: Logger;
  readonly #clock: Clock;
  readonly #roll: ProxyRoll;
  /** The last end of each proxy's stream, in order or not. */
  readonly #ends = new LostProxies(endsKeptMs);
  /** Monotonic ms from which on it is known who is connected. */
  readonly #settledAtMs: number;
  readonly #onNack: (typeUrl: string) => void;
  /** While it follows the state: before and after, nothing is decided. */
  #isFollowing = false;
  /** Looks at what is tried when that is due. */
  #alarm: Disposable | undefined;

  private constructor(state: Watched<ClusterState>, tables: CanaryTables, options: DiscoveryServiceOptions) {
    this.#onNack = options.onNack;
    this.#state = state;
    this.#tables = tables;
    this.#logger = options.logger;
    this.#clock = options.clock;
    this.#roll = new ProxyRoll(options);
    this.#settledAtMs = options.clock.monotonicMs() + (options.hadProxies ? proxyReturnMs : 0);
  }

  /** `state` has to be a whole one: what it lacks is told to proxies as removed. What it becomes meanwhile is taken over by `follow`. */
  static async open(state: Watched<ClusterState>, options: DiscoveryServiceOptions): Promise<DiscoveryService> {
    return new DiscoveryService(state, await CanaryTables.of(state.current, options.told), options);
  }

  /** What proxies are told of policies, and what is tried by a few of them first. */
  get canary(): Watched<CanaryState> {
    return this.#tables.canary;
  }

  /** The policies that not all proxies are told of, and why. */
  get policyTrials(): readonly CanaryRow[] {
    return canaryRows(this.#tables.canary.current);
  }

  get proxies(): readonly ConnectedProxy[] {
    const nowMs = this.#clock.monotonicMs();
    return [...this.#connected].map(({ stream, subscriber, ...rest }) => ({
      ...rest,
      identity: subscriber.identity,
      kind: subscriber.kind,
      isLevel: stream.isLevel(),
      unansweredMs: nowMs - (stream.unansweredSinceMs ?? nowMs),
    }));
  }

  /** Proxies that have not taken their leave, for the plane that comes after this one. */
  get known(): Watched<OrderedMap<ProxyRecord>> {
    return this.#roll.known;
  }

  /** Those of them that are not heard. */
  get silent(): readonly LostProxy[] {
    return this.#roll.silent(this.#clock.monotonicMs());
  }

  /**
   * What this cluster's proxies have of one form of a resource, by `resourceKey`, or of its being gone. O(proxies).
   */
  heldBy(key: string, wanted: Generation | undefined): HeldBy {
    const nowMs = this.#clock.monotonicMs();
    const version = this.#tables.heldSince(key, wanted);
    const connected = [...this.#connected].map(({ stream, nodeId, subscriber }): ProxyStanding => ({
      name: nodeId === "" ? subscriber.identity : nodeId,
      standing: version === undefined ? { kind: "pending" } : stream.standing(version),
      ...(stream.unansweredSinceMs === undefined ? {} : { unansweredMs: nowMs - stream.unansweredSinceMs }),
    }));
    const away = this.#roll.away(nowMs);
    const has = ({ takenVersion }: LostProxy): boolean => version !== undefined && takenVersion >= version;
    // Whoever falls silent after taking it has it all the same.
    const proxies = [...connected, ...away.filter(has).map(({ name }): ProxyStanding => ({ name, standing: { kind: "acknowledged" } }))];
    return { isHeld: version !== undefined, proxies, lost: away.filter((proxy) => !has(proxy)), unsettledMs: Math.max(0, this.#settledAtMs - nowMs), ...(version === undefined ? heldBackOf(this.#tables.canary.current, key) : {}) };
  }

  /** Pushes every new state. */
  async follow(signal: AbortSignal): Promise<void> {
    this.#isFollowing = true;
    using _settling = this.#clock.schedule(Math.max(0, this.#settledAtMs - this.#clock.monotonicMs()), () => this.#roll.settle());
    try {
      for await (const state of this.#state.changes(signal)) {
        if (this.#tables.take(state)) this.#refresh();
        this.#look();
      }
    } finally {
      this.#isFollowing = false;
      this.#alarm?.[Symbol.dispose]();
    }
  }

  /** The handler of `DeltaAggregatedResources`. */
  handler(identify: IdentifySubscriber): handleBidiStreamingCall<DeltaRequest, DeltaResponse> {
    return (call) => {
      const subscriber = identify(call);
      if (subscriber === undefined) {
        endCall(call, status.PERMISSION_DENIED, "this identity may not subscribe here");
        return;
      }
      if (this.#connected.size >= discoveryStreamsMax) {
        endCall(call, status.RESOURCE_EXHAUSTED, "this plane serves as many proxies as it may");
        return;
      }
      this.#serve(call, subscriber);
    };
  }

  #serve(call: ServerDuplexStream<DeltaRequest, DeltaResponse>, subscriber: Subscriber): void {
    const connected: Connected = {
      stream: new DeltaStream(
        (typeUrl) => this.#tables.tableFor(keyOf(connected), subscriber, typeUrl),
        (response) => call.write(response),
        { version: () => this.#tables.version, monotonicMs: () => this.#clock.monotonicMs() },
      ),
      subscriber,
      connectedAtMs: this.#clock.nowMs(),
      beganMs: this.#clock.monotonicMs(),
      nodeId: "",
      presence: undefined,
      process: undefined,
      nacks: 0,
      lastNack: "",
    };
    this.#connected.add(connected);
    call.on("data", (request: DeltaRequest) => {
      connected.process ??= processOf(request);
      // Said once: a proxy that called itself by ever new names would leave them all behind.
      if (request.node !== undefined && connected.nodeId === "" && request.node.id !== "") {
        connected.nodeId = request.node.id.slice(0, proxyNameMax);
        const key = keyOf(connected);
        // The stream before is over, whether or not its end has come here yet.
        if (this.#byKey.has(key)) this.#hearEnd(connected, "ended");
        this.#byKey.set(key, connected);
        this.#hear({ kind: "returned", proxy: key, nowMs: this.#clock.monotonicMs(), process: connected.process });
        this.#roll.heard(key);
      }
      const presence = presenceOf(request);
      if (presence !== undefined) {
        connected.presence = presence;
        if (presence === "stays" && connected.nodeId !== "") this.#roll.stays(proxyOf(connected));
        return;
      }
      const outcome = connected.stream.receive(request);
      if (outcome.kind === "overflow") {
        endCall(call, status.RESOURCE_EXHAUSTED, `a stream subscribes to at most ${streamNamesMax} names`);
        return;
      }
      if (outcome.kind === "nack") this.#takeNack(connected, outcome);
      if (outcome.kind !== "none") this.#look();
    });
    const forget = (): void => {
      this.#connected.delete(connected);
      // One that has opened a stream anew before the old one was given up is not away.
      if (this.#byKey.get(keyOf(connected)) !== connected) return;
      this.#byKey.delete(keyOf(connected));
      this.#roll.ended({ ...proxyOf(connected), takenVersion: connected.stream.takenVersion }, connected.presence);
      this.#hearEnd(connected, connected.presence === "leaves" ? "left" : "ended");
      this.#look();
    };
    call.on("end", () => {
      forget();
      call.end();
    });
    call.on("cancelled", forget);
    call.on("error", forget);
    call.on("close", forget);
  }

  #takeNack(connected: Connected, { typeUrl, message }: { readonly typeUrl: string; readonly message: string }): void {
    this.#onNack(typeUrl);
    connected.nacks++;
    connected.lastNack = message;
    this.#logger.warn("A proxy refused a discovery response and keeps its last good one.", {
      nodeId: connected.nodeId,
      spiffeId: connected.subscriber.identity,
      typeUrl,
      reason: message,
    });
  }

  #refresh(): void {
    for (const { stream } of this.#connected) stream.refresh();
  }

  #hear(event: TrialEvent): void {
    this.#become(afterEvent(this.#tables.canary.current, event));
  }

  #hearEnd(connected: Connected, kind: "ended" | "left"): void {
    const nowMs = this.#clock.monotonicMs();
    const key = keyOf(connected);
    this.#ends.lose(key, { ...proxyOf(connected), takenVersion: nothingTaken }, nowMs);
    this.#hear({ kind, proxy: key, nowMs });
  }

  /** Hears of canaries what their answers say, and does what is due for the policies that not all are told of. */
  #look(): void {
    const { canary } = this.#tables;
    if (!this.#isFollowing || canary.current.unsettled.size === 0) return;
    const nowMs = this.#clock.monotonicMs();
    for (let before: CanaryState | undefined; before !== canary.current; ) {
      before = canary.current;
      for (const event of this.#answers(nowMs)) this.#hear(event);
      this.#become(advance(canary.current, this.#moment(nowMs)));
    }
    this.#alarm?.[Symbol.dispose]();
    const atMs = isWaiting(canary.current, nowMs) ? nowMs + lookAgainMs : dueMs(canary.current, nowMs);
    this.#alarm = atMs === undefined ? undefined : this.#clock.schedule(atMs - nowMs, () => this.#lookAfterPoll());
  }

  #lookAfterPoll(): void {
    this.#alarm = this.#clock.schedule(pollMs, () => this.#look());
  }

  #become(canary: CanaryState): void {
    const { stopped, trial } = this.#tables.canary.current;
    if (canary === this.#tables.canary.current) return;
    if (this.#tables.become(canary)) this.#refresh();
    for (const key of changedKeys(stopped, canary.stopped)) {
      const stop = canary.stopped.get(key);
      if (stop !== undefined) this.#logger.warn(stopWords(stop), { policy: policyName(stop.form), nodeId: stop.proxy, reason: stop.reason });
    }
    if (canary.trial !== undefined && canary.trial.forms !== trial?.forms) this.#logger.debug("Policies are tried by some proxies first.", { policies: canary.trial.forms.size, proxies: canary.trial.canaries.size });
  }

  /** What the canaries' streams say of what is tried. */
  #answers(nowMs: number): readonly TrialEvent[] {
    const proxies = [...(this.#tables.canary.current.trial?.canaries.keys() ?? [])];
    return proxies.flatMap((proxy): readonly TrialEvent[] => {
      const connected = this.#byKey.get(proxy);
      const standing = connected?.stream.standing(this.#tables.trialVersion, (typeUrl, name) => this.#tables.isTried(connected.subscriber, typeUrl, name));
      if (standing?.kind === "acknowledged") return [{ kind: "took", proxy, nowMs }];
      return standing?.kind === "refused" ? [{ kind: "refused", proxy, nowMs, reason: standing.message }] : [];
    });
  }

  #moment(nowMs: number): CanaryMoment {
    let returning: ReadonlySet<string> | undefined;
    const hasProxies = this.#hasWorkloads(nowMs);
    return {
      candidates: () => this.#candidates(),
      hasProxies,
      isDeserted: !hasProxies && !this.#roll.away(nowMs).some(({ kind }) => kind === "workload"),
      isAwaited: (key) => this.#byKey.has(key) || (returning ??= new Set(this.#roll.away(nowMs).filter(({ ageMs }) => ageMs < proxyReturnMs).map(proxyKey))).has(key),
      others: (canaries, ends) => this.#others(canaries, ends, nowMs),
      nowMs,
      wallMs: this.#clock.nowMs(),
    };
  }

  /** What has become of the streams of those who are no canaries, gateways among them. O(proxies). */
  #others(canaries: Trial["canaries"], { fromMs, lastMs }: EndsInQuestion, nowMs: number): OtherStreams {
    const ended = new Set(this.#ends.at(nowMs).filter(({ ageMs }) => nowMs - ageMs >= fromMs).map(proxyKey).filter((key) => !canaries.has(key)));
    const there = [...this.#byKey].filter(([key, { beganMs }]) => beganMs < lastMs && !canaries.has(key) && !ended.has(key));
    return { count: there.length + ended.size, ended: ended.size };
  }

  #candidates(): readonly CanaryCandidate[] {
    return [...this.#byKey].flatMap(([key, { stream, subscriber, nodeId, process }]) => (subscriber.kind === "workload" && stream.isAnswered() ? [{ key, name: nodeId, identity: subscriber.identity, process }] : []));
  }

  /** There are workloads here, or were a moment ago, or may still come back to a plane that has just begun to serve. */
  #hasWorkloads(nowMs: number): boolean {
    if (nowMs < this.#settledAtMs) return true;
    for (const { subscriber } of this.#connected) if (subscriber.kind === "workload") return true;
    return this.#roll.away(nowMs).some(({ ageMs }) => ageMs < proxyReturnMs);
  }
}

function stopWords({ cause }: StoppedForm): string {
  if (isFruitless(cause)) return "A policy is held back, since no proxy that was told of it first said anything; it is tried again, and the others keep the one before.";
  return "A policy was stopped by the proxy that was told of it first; the others keep the one before.";
}

function proxyOf({ nodeId, subscriber }: Pick<Connected, "nodeId" | "subscriber">): ProxyRecord {
  return { name: nodeId, identity: subscriber.identity, kind: subscriber.kind };
}

function keyOf(connected: Pick<Connected, "nodeId" | "subscriber">): string {
  return proxyKey(proxyOf(connected));
}
