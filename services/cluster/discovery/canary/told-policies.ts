import type { CatalogOp, Collection } from "#federation/catalog/collection.ts";
import type { PolicyTellingRecord, ToldPolicy } from "#federation/catalog/records.ts";
import type { Clock } from "#federation/runtime/clock.ts";
import { changedKeys, OrderedMap } from "#federation/runtime/ordered-map.ts";
import type { Watched } from "#federation/runtime/watched.ts";
import type { Logger } from "#federation/telemetry/logger.ts";
import { commitInParts, keepFollowing } from "../keep-following.ts";
import { canaryState, type CanaryState } from "./canary-state.ts";
import type { PolicyForm } from "./canary-trial.ts";

type Kept = Pick<CanaryState, "settled" | "stopped">;

export interface ToldPoliciesOptions {
  readonly collection: Collection<PolicyTellingRecord>;
  readonly commit: (ops: readonly CatalogOp[], signal: AbortSignal) => Promise<number>;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** No service is called so: it has no slash. With this record there, a policy without one of its own is new. */
const beganId = "began";

/**
 * What all proxies of a cluster are told of policies, kept in its plane's store: a plane that starts again tells them that, and has whatever
 * is newer tried first, as the one before it did.
 */
export class ToldPolicies {
  readonly #options: ToldPoliciesOptions;
  #kept: Kept = { settled: OrderedMap.of(), stopped: OrderedMap.of() };
  #hasBegun = false;

  constructor(options: ToldPoliciesOptions) {
    this.#options = options;
  }

  /** What was kept; undefined where nothing ever was. */
  async load(signal: AbortSignal): Promise<CanaryState | undefined> {
    const { items } = await this.#options.collection.list(signal);
    this.#hasBegun = items.some(({ id }) => id === beganId);
    if (!this.#hasBegun) return undefined;
    const settled = items.flatMap(({ id, value: { told } }) => (told === undefined ? [] : [[id, formOf(told)] as const]));
    const stopped = items.flatMap(({ id, value: { stopped: stop } }) => (stop === undefined ? [] : [[id, { form: formOf(stop), proxy: stop.proxy, cause: stop.cause, reason: stop.reason, atMs: stop.atMs }] as const]));
    this.#kept = { settled: OrderedMap.of(settled), stopped: OrderedMap.of(stopped) };
    return canaryState(this.#kept.settled, this.#kept.stopped);
  }

  /** Writes what differs from what is kept. @throws what the store throws; what was written until then is kept. */
  async keep(now: Kept, signal: AbortSignal): Promise<void> {
    const { collection, commit } = this.#options;
    const keys = [...new Set([...changedKeys(this.#kept.settled, now.settled), ...changedKeys(this.#kept.stopped, now.stopped)])];
    const ops = [...keys.map((key) => recordOp(collection, key, now)), ...(this.#hasBegun ? [] : [collection.putOp(beganId, {})])];
    await commitInParts(ops, commit, signal);
    this.#hasBegun = true;
    this.#kept = now;
  }

  /** Keeps what `canary` says, until `signal` aborts. */
  async follow(canary: Watched<CanaryState>, signal: AbortSignal): Promise<void> {
    const { clock, logger } = this.#options;
    await keepFollowing(canary, { keep: async (now, inner) => await this.keep(now, inner), complaint: "What proxies are told of policies could not be stored; it is tried again.", clock, logger }, signal);
  }
}

function recordOp(collection: Collection<PolicyTellingRecord>, key: string, { settled, stopped }: Kept): CatalogOp {
  const told = settled.get(key);
  const stop = stopped.get(key);
  if (told === undefined && stop === undefined) return collection.removeOp(key);
  return collection.putOp(key, {
    ...(told === undefined ? {} : { told: recordOf(told) }),
    ...(stop === undefined ? {} : { stopped: { ...recordOf(stop.form), proxy: stop.proxy, cause: stop.cause, reason: stop.reason, atMs: Math.floor(stop.atMs) } }),
  });
}

function recordOf({ policy, generation }: PolicyForm): ToldPolicy {
  return { policy, ...(generation === undefined ? {} : { generation }) };
}

function formOf({ policy, generation }: ToldPolicy): PolicyForm {
  return { policy, generation };
}
