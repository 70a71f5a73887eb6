import type { DeltaRequest, DeltaResponse } from "#federation/wire/discovery-messages.ts";
import { partVersion } from "#federation/wire/discovery-parts.ts";
import { streamNamesMax } from "#federation/wire/limits.ts";
import { NamesAhead } from "./names-ahead.ts";
import { absentVersion, emptyTable, namesToTell, newsOf, nextPart, type ResourceTable } from "./resource-table.ts";

/** What became of a response, for metrics and `proxy status`. */
export type DeltaOutcome =
  | { readonly kind: "none" }
  /** More names than one stream may hold; it is to be ended. */
  | { readonly kind: "overflow" }
  | { readonly kind: "ack"; readonly typeUrl: string }
  | { readonly kind: "nack"; readonly typeUrl: string; readonly message: string };

/** What a stream's proxy is known to have of a version of the tables. */
export type VersionStanding = { readonly kind: "acknowledged" } | { readonly kind: "pending" } | { readonly kind: "refused"; readonly message: string };

/** The response that is on its way. */
interface Pending {
  readonly nonce: string;
  /** The tables' version then. */
  readonly version: number;
  /** The one that it brings its type to; undefined where more follows. */
  readonly completes: number | undefined;
  readonly sentAtMs: number;
  /** By name what the proxy was known to have of it before, as a version; undefined: nothing. */
  readonly before: ReadonlyMap<string, string | undefined>;
}

/** The proxy refused what changed for a name after one version and up to another. */
interface Refused {
  readonly after: number;
  readonly upTo: number;
  readonly message: string;
}

/** What it is now. */
export interface Present {
  /** Of the tables. */
  readonly version: () => number;
  readonly monotonicMs: () => number;
}

/** What a stream is told in one response or in several, of a table as it was when that began. */
interface Walk {
  /** Of which the next response tells. */
  readonly names: NamesAhead;
  readonly table: ResourceTable;
  /** The tables' version then. */
  readonly version: number;
}

interface Subscription {
  /** Undefined: everything of the type. */
  wanted: Set<string> | undefined;
  readonly sent: Map<string, string>;
  /** The table that `sent` was level with, as far as is wanted; undefined while more may be missing than what changed since. */
  level: ResourceTable | undefined;
  /** Under way until `sent` is level with its table. */
  walk: Walk | undefined;
  pending: Pending | undefined;
  answered: boolean;
  /** The tables' version up to which the proxy has answered everything of the type; before its first answer there is none. */
  answeredVersion: number;
  /** By name, until the name has come in a response that was not refused. */
  readonly refused: Map<string, Refused>;
}

const noVersion = -1;

/**
 * One delta ADS stream, without its transport. For each type at most one response is on its way; changes that happen
 * meanwhile are folded into the next, so a slow proxy costs no memory. What is too much for one response comes in several, each when the
 * one before was answered. A refused version is not sent again: the proxy keeps its last good one until there is a newer. Where it names what
 * of a response it refuses, the rest of that is sent again.
 * @see https://www.envoyproxy.io/docs/envoy/latest/api-docs/xds_protocol#incremental-xds
 */
export class DeltaStream {
  readonly #tableOf: (typeUrl: string) => ResourceTable | undefined;
  readonly #send: (response: DeltaResponse) => void;
  readonly #present: Present;
  readonly #subscriptions = new Map<string, Subscription>();
  #nonce = 0;

  /** `tableOf` answers undefined for a type that this stream may not see; such requests are ignored. */
  constructor(tableOf: (typeUrl: string) => ResourceTable | undefined, send: (response: DeltaResponse) => void, present: Present) {
    this.#tableOf = tableOf;
    this.#send = send;
    this.#present = present;
  }

  /** Takes one request of the proxy and sends what it asks for. */
  receive(request: DeltaRequest): DeltaOutcome {
    if (this.#tableOf(request.typeUrl) === undefined) return { kind: "none" };
    const known = this.#subscriptions.get(request.typeUrl);
    const subscription = known ?? this.#open(request);
    if (known !== undefined) changeNames(subscription, request);
    if ((subscription.wanted?.size ?? 0) > streamNamesMax || (known === undefined && subscription.sent.size > streamNamesMax)) return { kind: "overflow" };
    const outcome = settle(subscription, request);
    this.#flush(request.typeUrl, subscription);
    return outcome;
  }

  /** The tables may have changed: sends what this stream lacks. */
  refresh(): void {
    for (const [typeUrl, subscription] of this.#subscriptions) this.#flush(typeUrl, subscription);
  }

  /**
   * What the proxy has of what changed with a version of the tables: of what it subscribes to, all or none. What it has refused counts where
   * `isMeant` says so of its type and name. O(subscriptions + refused names).
   */
  standing(version: number, isMeant: (typeUrl: string, name: string) => boolean = () => true): VersionStanding {
    let isAnswered = this.#subscriptions.size > 0;
    for (const [typeUrl, { answeredVersion, refused }] of this.#subscriptions) {
      for (const [name, { after, upTo, message }] of refused) if (after < version && version <= upTo && isMeant(typeUrl, name)) return { kind: "refused", message };
      isAnswered &&= answeredVersion >= version;
    }
    return isAnswered ? { kind: "acknowledged" } : { kind: "pending" };
  }

  /** The tables' version up to which the proxy has taken all that it subscribes to; below every version while there is none, or something was refused. O(subscriptions). */
  get takenVersion(): number {
    const subscriptions = [...this.#subscriptions.values()];
    if (subscriptions.length === 0 || subscriptions.some(({ refused }) => refused.size > 0)) return noVersion;
    return Math.min(...subscriptions.map(({ answeredVersion }) => answeredVersion));
  }

  /** True when it has subscribed to something, and has answered all that it was sent, whatever it said of it. O(subscriptions). */
  isAnswered(): boolean {
    const subscriptions = [...this.#subscriptions.values()];
    return subscriptions.length > 0 && subscriptions.every(({ pending, answeredVersion }) => pending === undefined && answeredVersion !== noVersion);
  }

  /** True when every subscribed type is acknowledged and level with its table. */
  isLevel(): boolean {
    for (const [typeUrl, subscription] of this.#subscriptions) {
      const { pending, walk, level } = subscription;
      if (pending !== undefined || walk !== undefined) return false;
      const table = this.#tableOf(typeUrl) ?? emptyTable;
      for (const name of namesToTell(subscription, level, table)) if (newsOf(name, subscription, table) !== undefined) return false;
    }
    return true;
  }

  /** When the oldest response that the proxy has not answered was sent, by `monotonicMs`; undefined while there is none. O(subscriptions). */
  get unansweredSinceMs(): number | undefined {
    let oldest: number | undefined;
    for (const { pending } of this.#subscriptions.values()) if (pending !== undefined) oldest = Math.min(oldest ?? Infinity, pending.sentAtMs);
    return oldest;
  }

  #open(request: DeltaRequest): Subscription {
    const isWildcard = request.subscribe.length === 0 || request.subscribe.includes("*");
    const subscription: Subscription = {
      wanted: isWildcard ? undefined : new Set(request.subscribe),
      sent: new Map(Object.entries(request.initialVersions)),
      level: undefined,
      walk: undefined,
      pending: undefined,
      answered: false,
      answeredVersion: noVersion,
      refused: new Map(),
    };
    this.#subscriptions.set(request.typeUrl, subscription);
    return subscription;
  }

  #flush(typeUrl: string, subscription: Subscription): void {
    const table = this.#tableOf(typeUrl);
    if (table === undefined) return;
    while (subscription.pending === undefined) {
      const walk: Walk = (subscription.walk ??= { names: new NamesAhead(namesToTell(subscription, subscription.level, table)), table, version: this.#present.version() });
      const { changed, removed } = nextPart(walk.names, subscription, table);
      const { isOver } = walk.names;
      if (isOver) {
        subscription.level = walk.table;
        subscription.walk = undefined;
      }
      // The first answer goes out even when it is empty: it tells the proxy that it knows all there is.
      if (changed.length + removed.length === 0 && subscription.answered) {
        subscription.answeredVersion = walk.version;
        // What has changed while it was told in parts is looked at next.
        if (walk.table === table) return;
        continue;
      }
      subscription.answered = true;
      const nonce = String(++this.#nonce);
      subscription.pending = {
        nonce,
        version: this.#present.version(),
        completes: isOver ? walk.version : undefined,
        sentAtMs: this.#present.monotonicMs(),
        before: new Map([...changed.map(({ name }) => name), ...removed].map((name) => [name, subscription.sent.get(name)])),
      };
      for (const resource of changed) subscription.sent.set(resource.name, resource.version);
      for (const name of removed) {
        if (subscription.wanted?.has(name) === true) subscription.sent.set(name, absentVersion);
        else subscription.sent.delete(name);
      }
      this.#send({ typeUrl, nonce, systemVersion: isOver ? "" : partVersion, resources: changed, removed });
    }
  }
}

function changeNames(subscription: Subscription, request: DeltaRequest): void {
  if (request.subscribe.length + request.unsubscribe.length > 0) {
    subscription.level = undefined;
    subscription.walk = undefined;
  }
  for (const name of request.subscribe) {
    if (name === "*") subscription.wanted = undefined;
    else subscription.wanted?.add(name);
    // Asking again for a name asks for it to be sent again.
    subscription.sent.delete(name);
  }
  for (const name of request.unsubscribe) {
    subscription.wanted?.delete(name);
    subscription.sent.delete(name);
  }
}

function settle(subscription: Subscription, request: DeltaRequest): DeltaOutcome {
  const { pending, refused, answeredVersion } = subscription;
  if (pending === undefined || request.responseNonce !== pending.nonce) return { kind: "none" };
  subscription.pending = undefined;
  if (request.fault === undefined) {
    subscription.answeredVersion = pending.completes ?? answeredVersion;
    for (const name of pending.before.keys()) refused.delete(name);
    return { kind: "ack", typeUrl: request.typeUrl };
  }
  const { message, resources } = request.fault;
  const named = resources.filter((name) => pending.before.has(name));
  // Who names nothing that it was sent refuses all of it.
  const isWhole = named.length === 0 || new Set(named).size === pending.before.size;
  if (isWhole) subscription.answeredVersion = pending.completes ?? answeredVersion;
  else sendRestAgain(subscription, pending, new Set(named));
  for (const name of isWhole ? pending.before.keys() : named) refused.set(name, { after: Math.min(refused.get(name)?.after ?? answeredVersion, answeredVersion), upTo: pending.version, message });
  return { kind: "nack", typeUrl: request.typeUrl, message };
}

/** The proxy has none of a response that it refused: what it did not name comes again. O(names), and a refusal the less that way for each name. */
function sendRestAgain(subscription: Subscription, { before }: Pending, named: ReadonlySet<string>): void {
  subscription.walk = undefined;
  subscription.level = undefined;
  for (const [name, version] of before) {
    if (named.has(name)) continue;
    if (version === undefined) subscription.sent.delete(name);
    else subscription.sent.set(name, version);
  }
}
