import { status, type handleBidiStreamingCall, type ServerDuplexStream } from "@grpc/grpc-js";
import type { SpiffeId } from "#federation/model/names.ts";
import type { Generation } from "#federation/model/snapshot.ts";
import type { Clock } from "#federation/runtime/clock.ts";
import type { Watched } from "#federation/runtime/watched.ts";
import type { Logger } from "#federation/telemetry/logger.ts";
import type { DeltaRequest, DeltaResponse } from "#federation/wire/discovery-messages.ts";
import { presenceOf, type Presence } from "#federation/wire/discovery-presence.ts";
import type { ClusterState } from "../cluster-state.ts";
import { DeltaStream, namesMax, type VersionStanding } from "./delta-stream.ts";
import { DiscoveryTables, type Subscriber } from "./discovery-tables.ts";
import { LostProxies, proxyReturnMs, type LostProxy } from "./lost-proxies.ts";
import { heldSince, nextHeldVersions, nothingHeld, type HeldVersions } from "./held-versions.ts";

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
}

interface Connected {
  readonly stream: DeltaStream;
  readonly subscriber: Subscriber;
  readonly connectedAtMs: number;
  nodeId: string;
  /** What it said of it last; nothing where it does not know how. */
  presence: Presence | undefined;
  nacks: number;
  lastNack: string;
}

/** Who a call's certificate says it is; undefined where it may not ask. */
export type IdentifySubscriber = (call: ServerDuplexStream<DeltaRequest, DeltaResponse>) => Subscriber | undefined;

/** Delta ADS for this cluster's proxies: every stream is level with the newest state, or on its way there. */
export class DiscoveryService {
  readonly #tables: DiscoveryTables;
  #held: HeldVersions;
  readonly #state: Watched<ClusterState>;
  readonly #connected = new Set<Connected>();
  /** The last stream of each proxy that has said who it is. */
  readonly #byKey = new Map<string, Connected>();
  readonly #logger: Logger;
  readonly #clock: Clock;
  /** Those that would have said that they leave, for as long as they may route. */
  readonly #silent: LostProxies;
  /** Those of which nobody knows whether they have left, for as long as they would have come back. */
  readonly #returning = new LostProxies(proxyReturnMs);
  /** Monotonic ms from which on it is known who is connected. */
  readonly #settledAtMs: number;
  readonly #onNack: (typeUrl: string) => void;

  /** `state` has to be a whole one: what it lacks is told to proxies as removed. `hadProxies`: those of an earlier term may come back. `identityMs`: how long an identity of theirs holds, and so how long one that is not heard may route. `onNack` hears of each refused response. */
  constructor(state: Watched<ClusterState>, options: { readonly logger: Logger; readonly clock: Clock; readonly hadProxies: boolean; readonly identityMs: number; readonly onNack: (typeUrl: string) => void }) {
    this.#onNack = options.onNack;
    this.#state = state;
    this.#tables = new DiscoveryTables(state.current);
    this.#held = nextHeldVersions(nothingHeld, state.current.generations, this.#tables.version);
    this.#logger = options.logger;
    this.#clock = options.clock;
    this.#silent = new LostProxies(Math.max(options.identityMs, proxyReturnMs));
    this.#settledAtMs = options.clock.monotonicMs() + (options.hadProxies ? proxyReturnMs : 0);
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

  /**
   * What this cluster's proxies have of one form of a resource, by `resourceKey`, or of its being gone. O(proxies).
   */
  heldBy(key: string, wanted: Generation | undefined): HeldBy {
    const nowMs = this.#clock.monotonicMs();
    const version = heldSince(this.#held, key, wanted);
    const connected = [...this.#connected].map(({ stream, nodeId, subscriber }): ProxyStanding => ({
      name: nodeId === "" ? subscriber.identity : nodeId,
      standing: version === undefined ? { kind: "pending" } : stream.standing(version),
    }));
    const away = [...this.#silent.at(nowMs), ...this.#returning.at(nowMs)];
    const has = ({ takenVersion }: LostProxy): boolean => version !== undefined && takenVersion >= version;
    // Whoever falls silent after taking it has it all the same.
    const proxies = [...connected, ...away.filter(has).map(({ name }): ProxyStanding => ({ name, standing: { kind: "acknowledged" } }))];
    return { isHeld: version !== undefined, proxies, lost: away.filter((proxy) => !has(proxy)), unsettledMs: Math.max(0, this.#settledAtMs - nowMs) };
  }

  /** Pushes every new state. */
  async follow(signal: AbortSignal): Promise<void> {
    for await (const state of this.#state.changes(signal)) {
      const isChanged = this.#tables.update(state);
      this.#held = nextHeldVersions(this.#held, state.generations, this.#tables.version);
      if (!isChanged) continue;
      for (const { stream } of this.#connected) stream.refresh();
    }
  }

  /** The handler of `DeltaAggregatedResources`. */
  handler(identify: IdentifySubscriber): handleBidiStreamingCall<DeltaRequest, DeltaResponse> {
    return (call) => {
      const subscriber = identify(call);
      if (subscriber === undefined) {
        call.destroy(Object.assign(new Error("this identity may not subscribe here"), { code: status.PERMISSION_DENIED }));
        return;
      }
      if (this.#connected.size >= discoveryStreamsMax) {
        call.destroy(Object.assign(new Error("this plane serves as many proxies as it may"), { code: status.RESOURCE_EXHAUSTED }));
        return;
      }
      this.#serve(call, subscriber);
    };
  }

  #serve(call: ServerDuplexStream<DeltaRequest, DeltaResponse>, subscriber: Subscriber): void {
    const connected: Connected = {
      stream: new DeltaStream(
        (typeUrl) => this.#tables.tableFor(subscriber, typeUrl),
        (response) => call.write(response),
        { version: () => this.#tables.version, monotonicMs: () => this.#clock.monotonicMs() },
      ),
      subscriber,
      connectedAtMs: this.#clock.nowMs(),
      nodeId: "",
      presence: undefined,
      nacks: 0,
      lastNack: "",
    };
    this.#connected.add(connected);
    call.on("data", (request: DeltaRequest) => {
      // Said once: a proxy that called itself by ever new names would leave them all behind.
      if (request.node !== undefined && connected.nodeId === "" && request.node.id !== "") {
        connected.nodeId = request.node.id;
        this.#byKey.set(keyOf(connected), connected);
        for (const lost of [this.#silent, this.#returning]) lost.find(keyOf(connected));
      }
      const presence = presenceOf(request);
      if (presence !== undefined) {
        connected.presence = presence;
        return;
      }
      const outcome = connected.stream.receive(request);
      if (outcome.kind === "overflow") {
        call.destroy(Object.assign(new Error(`a stream subscribes to at most ${namesMax} names`), { code: status.RESOURCE_EXHAUSTED }));
        return;
      }
      if (outcome.kind !== "nack") return;
      this.#onNack(outcome.typeUrl);
      connected.nacks++;
      connected.lastNack = outcome.message;
      this.#logger.warn("A proxy refused a discovery response and keeps its last good one.", {
        nodeId: connected.nodeId,
        spiffeId: subscriber.identity,
        typeUrl: outcome.typeUrl,
        reason: outcome.message,
      });
    });
    const forget = (): void => {
      this.#connected.delete(connected);
      // One that has opened a stream anew before the old one was given up is not away.
      if (this.#byKey.get(keyOf(connected)) !== connected) return;
      this.#byKey.delete(keyOf(connected));
      if (connected.presence === "leaves") return;
      const lost = connected.presence === "stays" ? this.#silent : this.#returning;
      lost.lose(keyOf(connected), { name: connected.nodeId, takenVersion: connected.stream.takenVersion }, this.#clock.monotonicMs());
    };
    call.on("end", () => {
      forget();
      call.end();
    });
    call.on("cancelled", forget);
    call.on("error", forget);
    call.on("close", forget);
  }
}

function keyOf({ nodeId, subscriber }: Pick<Connected, "nodeId" | "subscriber">): string {
  return `${subscriber.identity}\0${nodeId}`;
}
