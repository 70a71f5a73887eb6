import { isDeepStrictEqual } from "node:util";
import type { Collection, CollectionState } from "#federation/catalog/collection.ts";
import type { EndpointRecord } from "#federation/model/endpoint.ts";
import type { InstanceOverload } from "#federation/model/overload.ts";
import type { InstanceClock } from "#federation/model/clock-offset.ts";
import type { InstanceUnwritten } from "#federation/model/instance-unwritten.ts";
import type { InstanceUnreached } from "#federation/model/unreached-cluster.ts";
import type { SpiffeId } from "#federation/model/names.ts";
import type { Service } from "#federation/model/resource.ts";
import { sleep, type Clock } from "#federation/runtime/clock.ts";
import { describeError, isAtollError } from "#federation/runtime/errors.ts";
import { OrderedMap } from "#federation/runtime/ordered-map.ts";
import { passingFaults } from "#federation/runtime/retry.ts";
import { WatchedValue, type Watched } from "#federation/runtime/watched.ts";
import type { Logger } from "#federation/telemetry/logger.ts";
import type { SessionAck, SessionReport } from "#federation/wire/workload-messages.ts";
import type { ClusterSelf, EndpointState } from "../cluster-state.ts";
import { clocksIn, judgeReport, overloadsIn, ownedByAnother, refusedObserver, unreachedIn, unwrittenIn } from "./registration.ts";
import { releasedByBrake } from "./removal-brake.ts";
import { SessionTable, type SaidBeside, type SessionLimits } from "./session-table.ts";

export interface RegistryOptions {
  readonly self: ClusterSelf;
  readonly endpoints: Collection<EndpointRecord>;
  readonly services: Watched<CollectionState<Service>>;
  readonly limits: SessionLimits;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** One proxy's stream of reports. */
export interface RegistrySession {
  /** Stores what the report changes and says whether the registration stands. */
  report(report: SessionReport, signal: AbortSignal): Promise<SessionAck>;
  /** The stream has ended: the instance becomes unknown, not gone. */
  end(): void;
}

/** Most instances of one cluster; a further one is refused until one goes. */
export const instancesMax = 20_000;

/** Most proxies of one cluster that back nothing and are heard all the same. */
export const observersMax = 5_000;

/** How often sessions are looked over. */
const lookOverMs = 1_000;

/**
 * The instances of this cluster: durable records joined with live sessions. A record outlives the plane; whether
 * somebody stands behind it is known only from the session.
 */
export class Registry {
  readonly #options: RegistryOptions;
  readonly #sessions: SessionTable;
  readonly #state = new WatchedValue(OrderedMap.of<EndpointState>());
  readonly #loaded = new WatchedValue(false);
  #records = new Map<string, EndpointRecord>();
  /** Gateways, and sidecars in front of no service: they have no record, and count while they speak. */
  readonly #observers = new Map<string, SpiffeId>();
  #streams = 0;

  constructor(options: RegistryOptions) {
    this.#options = options;
    this.#sessions = new SessionTable(options.limits);
  }

  /** All known instances, by their id and in its order. */
  get state(): Watched<OrderedMap<EndpointState>> {
    return this.#state;
  }

  /** Which instances are asked for more than they can do, as they said last. It changes with every report, and so is asked for and not followed. */
  get overloads(): readonly InstanceOverload[] {
    return this.#sessions.overloads();
  }

  /** The instances that said last that their disks do not take what they know. */
  get unwritten(): readonly InstanceUnwritten[] {
    return this.#sessions.unwritten();
  }

  /** The instances whose clocks are apart from this plane's, as they found last. */
  get clocks(): readonly InstanceClock[] {
    return this.#sessions.clocks();
  }

  /** The clusters that instances said last they reach no gateway of. */
  get unreached(): readonly InstanceUnreached[] {
    return this.#sessions.unreached();
  }

  /** False until the stored records have been read: emptiness then means nothing. */
  get loaded(): Watched<boolean> {
    return this.#loaded;
  }

  /** Starts the session of a caller whose certificate says `identity`. */
  openSession(identity: SpiffeId): RegistrySession {
    const streamId = ++this.#streams;
    let instanceId: string | undefined;
    return {
      report: async (report, signal) => {
        if (instanceId !== undefined && report.instanceId !== instanceId) return this.#refusal(`this session is that of ${instanceId}`);
        const ack = await this.#report(report, identity, streamId, signal);
        if (ack.refused === "" && !report.draining) instanceId = report.instanceId;
        return ack;
      },
      end: () => {
        if (instanceId === undefined) return;
        this.#sessions.end(instanceId, streamId, this.#options.clock.monotonicMs());
        this.#publish([instanceId]);
      },
    };
  }

  /** Follows the stored records, expires silent sessions and sweeps what has been away for long. */
  async follow(signal: AbortSignal): Promise<void> {
    for await (const batch of this.#options.endpoints.changes(signal)) {
      if (batch.initial) this.#records = new Map();
      for (const { id, value } of batch.puts) {
        this.#records.set(id, value);
        this.#sessions.restore(id, this.#options.clock.monotonicMs());
      }
      for (const id of batch.deletes) {
        this.#records.delete(id);
        // What it has said since as a proxy that backs nothing is heard later than the end of what it was.
        if (!this.#observers.has(id)) this.#sessions.forget(id);
      }
      this.#publish(batch.initial ? [...this.#records.keys(), ...this.#state.current.keys()] : [...batch.puts.map(({ id }) => id), ...batch.deletes]);
      this.#loaded.set(true);
    }
  }

  async lookOver(signal: AbortSignal): Promise<void> {
    const { clock, logger, endpoints } = this.#options;
    for (;;) {
      await sleep(clock, lookOverMs, signal);
      this.#publish(this.#sessions.expire(clock.monotonicMs()));
      const sweepable = this.#sessions.sweepable(clock.monotonicMs());
      for (const id of sweepable) if (this.#observers.has(id)) this.#forgetObserver(id);
      const candidates = sweepable.filter((id) => this.#records.has(id));
      if (candidates.length === 0) continue;
      for (const instanceId of releasedByBrake(candidates, [...this.#records.values()])) {
        // It may have come back while others were being removed.
        if (this.#sessions.isAttached(instanceId)) continue;
        try {
          await endpoints.remove(instanceId, {}, signal);
          logger.info("An instance was removed: no session for longer than the re-attach window.", { instanceId });
        } catch (error) {
          if (signal.aborted) throw error;
          logger.warn("A silent instance could not be removed from the store; it stays unknown.", { instanceId, reason: describeError(error) });
        }
      }
    }
  }

  async #report(report: SessionReport, identity: SpiffeId, streamId: number, signal: AbortSignal): Promise<SessionAck> {
    try {
      const refused = await (report.ports.length === 0 ? this.#observe(report, identity, streamId, signal) : this.#register(report, identity, streamId, signal));
      return { ttlMs: this.#options.limits.ttlMs, refused: refused ?? "", nowMs: Math.floor(this.#options.clock.nowMs()) };
    } catch (error) {
      if (!isAtollError(error, ...passingFaults)) throw error;
      return this.#refusal(`the registration could not be stored: ${error.message}`);
    }
  }

  /** Answers why not, or nothing. */
  async #register(report: SessionReport, identity: SpiffeId, streamId: number, signal: AbortSignal): Promise<string | undefined> {
    const { self, services, endpoints, clock } = this.#options;
    const { instanceId } = report;
    const existing = this.#records.get(instanceId);
    const observer = this.#observers.get(instanceId);
    if (observer !== undefined && observer !== identity) return ownedByAnother(instanceId);
    const serviceOf = (name: string): Service | undefined => services.current.items.get(name)?.value;
    const registration = judgeReport({ report, identity, self, serviceOf, existing, nowMs: clock.nowMs() });
    if (registration.kind === "refused") return registration.reason;
    if (report.draining) {
      await this.#remove(instanceId, signal);
      return undefined;
    }
    if (existing === undefined && this.#records.size >= instancesMax) return `this cluster has ${instancesMax} instances already`;
    if (!isDeepStrictEqual(existing, registration.record)) {
      await endpoints.put(instanceId, registration.record, {}, signal);
      this.#records.set(instanceId, registration.record);
    }
    this.#observers.delete(instanceId);
    this.#sessions.report(instanceId, streamId, clock.monotonicMs(), saidBeside(report));
    this.#publish([instanceId]);
    return undefined;
  }

  /** Hears a proxy that backs no service: nothing of it is stored, and nobody is sent to it. Answers why not, or nothing. */
  async #observe(report: SessionReport, identity: SpiffeId, streamId: number, signal: AbortSignal): Promise<string | undefined> {
    const { instanceId } = report;
    const existing = this.#records.get(instanceId);
    const refused = refusedObserver({ report, identity, owner: existing?.identity ?? this.#observers.get(instanceId) });
    if (refused !== undefined) return refused;
    if (existing !== undefined) await this.#remove(instanceId, signal);
    if (report.draining) {
      this.#forgetObserver(instanceId);
      return undefined;
    }
    if (!this.#observers.has(instanceId) && this.#observers.size >= observersMax) return `this cluster hears ${observersMax} proxies without a service already`;
    this.#observers.set(instanceId, identity);
    this.#sessions.report(instanceId, streamId, this.#options.clock.monotonicMs(), saidBeside(report));
    return undefined;
  }

  /** At the owner's own word, which the brake does not hold back. */
  async #remove(instanceId: string, signal: AbortSignal): Promise<void> {
    await this.#options.endpoints.remove(instanceId, {}, signal);
    this.#records.delete(instanceId);
    this.#sessions.forget(instanceId);
    this.#publish([instanceId]);
  }

  #forgetObserver(id: string): void {
    this.#observers.delete(id);
    this.#sessions.forget(id);
  }

  #refusal(reason: string): SessionAck {
    return { ttlMs: this.#options.limits.ttlMs, refused: reason, nowMs: Math.floor(this.#options.clock.nowMs()) };
  }

  /** Publishes what became of `changed` instances. Reports come every few seconds and mostly say the same: then there is no new state. */
  #publish(changed: readonly string[]): void {
    let next = this.#state.current;
    for (const instanceId of changed) {
      const record = this.#records.get(instanceId);
      const state = record === undefined ? undefined : { record, attached: this.#sessions.isAttached(instanceId), isMissed: this.#sessions.isMissed(instanceId) };
      if (state === undefined) next = next.without(instanceId);
      else if (!isDeepStrictEqual(state, next.get(instanceId))) next = next.with(instanceId, state);
    }
    this.#state.set(next);
  }
}

function saidBeside(report: SessionReport): SaidBeside {
  return { overloads: overloadsIn(report), unreached: unreachedIn(report), unwritten: unwrittenIn(report), clocks: clocksIn(report) };
}
