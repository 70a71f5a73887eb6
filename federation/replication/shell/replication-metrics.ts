import { Counter, Gauge, type Registry } from "prom-client";
import type { Clock } from "#federation/runtime/clock.ts";
import { behindReasons, type StoreStanding } from "#federation/model/store-standing.ts";
import type { UnfollowedCollection } from "#federation/model/unfollowed-collection.ts";
import { addGauge } from "#federation/telemetry/read-metrics.ts";
import type { Watched } from "#federation/runtime/watched.ts";
import type { ReceiverLag } from "../core/publisher.ts";
import type { ReceiverStatus } from "./run-receiver.ts";

/** What the links of a plane report of themselves. */
export interface ReplicationReports {
  readonly standing: () => StoreStanding;
  /** The store has confirmed the leader's place lately; else another may lead. */
  readonly isCertain: () => boolean;
  /** Wall-clock ms of the last answer of a store that is away; undefined while it answers. */
  readonly storeAway: () => { readonly sinceMs: number } | undefined;
  /** What is not heard of in a store that answers; the oldest first. */
  readonly unfollowed: () => readonly UnfollowedCollection[];
  /** Whether another process speaks under this plane's name. */
  readonly hasRival: () => boolean;
  readonly statuses: Watched<ReadonlyMap<string, ReceiverStatus>>;
  readonly lags: Watched<ReadonlyMap<string, ReceiverLag>>;
}

/** Shows the links of a plane in `registry`; `current` answers undefined while there are none. Once for each registry. */
export function addReplicationMetrics(registry: Registry, current: () => ReplicationReports | undefined, clock: Clock): void {
  addGauge(registry, {
    name: "atoll_store_behind",
    help: "1 for the reason why this plane's store is behind what was witnessed of it: nothing is written or published until `atoll reconcile`.",
    labels: ["reason"],
    read: (add) => {
      const standing = current()?.standing();
      if (standing !== undefined) for (const reason of behindReasons) add({ reason }, standing.state === "behind" && standing.reason === reason ? 1 : 0);
    },
  });
  addGauge(registry, {
    name: "atoll_store_away_seconds",
    help: "Since this plane's store has not answered; 0 while it does. Reads are answered as of then, writes are refused.",
    read: (add) => {
      const reports = current();
      if (reports === undefined) return;
      const away = reports.storeAway();
      add({}, away === undefined ? 0 : Math.max(0, clock.nowMs() - away.sinceMs) / 1_000);
    },
  });
  addGauge(registry, {
    name: "atoll_store_unfollowed_seconds",
    help: "Since what this plane has not been able to read in its store for longest, though that answers, was last known to be what the store holds; 0 where nothing has been so for ten seconds.",
    read: (add) => {
      const reports = current();
      if (reports !== undefined) add({}, (reports.unfollowed()[0]?.ageMs ?? 0) / 1_000);
    },
  });
  addGauge(registry, {
    name: "atoll_plane_doubled",
    help: "1 while another process speaks under this plane's name: writes are refused and nothing is published.",
    read: (add) => add({}, current()?.hasRival() === true ? 1 : 0),
  });
  addGauge(registry, {
    name: "atoll_publisher_clock_ahead_seconds",
    help: "The clock of another plane less this one's, too small by the way of what it says; no value while too little of it was heard.",
    labels: ["publisher"],
    read: (add) => {
      for (const [publisher, { clockAheadMs }] of current()?.statuses.current ?? []) if (clockAheadMs !== undefined) add({ publisher }, clockAheadMs / 1_000);
    },
  });
  const refused: Counter<"publisher" | "reason"> = new Counter({
    name: "atoll_replication_refused_total",
    help: "Messages and objects that were not applied, by publisher and reason.",
    labelNames: ["publisher", "reason"],
    registers: [registry],
    collect() {
      refused.reset();
      for (const [publisher, status] of current()?.statuses.current ?? []) {
        for (const [reason, count] of status.refused) refused.inc({ publisher, reason }, count);
      }
    },
  });
  const publishers = (name: string, help: string, read: (status: ReceiverStatus) => number | undefined): void => {
    const gauge: Gauge<"publisher"> = new Gauge({
      name,
      help,
      labelNames: ["publisher"],
      registers: [registry],
      collect() {
        gauge.reset();
        for (const [publisher, status] of current()?.statuses.current ?? []) {
          const value = read(status);
          if (value !== undefined) gauge.set({ publisher }, value);
        }
      },
    });
  };
  const ageSeconds = (sinceMs: number | undefined): number | undefined => (sinceMs === undefined ? undefined : Math.max(0, clock.monotonicMs() - sinceMs) / 1_000);
  publishers("atoll_replication_heard_age_seconds", "Since the last fresh heartbeat of a publisher.", (status) => ageSeconds(status.heardAtMonotonicMs));
  publishers("atoll_replication_whole_age_seconds", "Since what is held of a publisher was last seen to be all of it.", (status) => ageSeconds(status.wholeAtMonotonicMs));
  publishers("atoll_replication_needs_reconcile", "1 while nothing is applied of a publisher, since its store was seen behind what it had told us.", (status) => (status.needsReconcile ? 1 : 0));
  publishers("atoll_replication_doubled", "1 while two processes speak under a publisher's name, and nothing is applied of either.", (status) => (status.doubled === undefined ? 0 : 1));
  publishers("atoll_replication_withdrawals_held", "Objects that a publisher has withdrawn without a signed deletion, more at once than is believed: held until that is explained or let go by `atoll withdrawals`.", (status) => status.heldBack ?? 0);
  const rewritten: Counter<"publisher"> = new Counter({
    name: "atoll_replication_rewritten_total",
    help: "Objects taken anew at the generation that was held, with another content, by publisher: after a change of versions, or of a store that was rolled back.",
    labelNames: ["publisher"],
    registers: [registry],
    collect() {
      rewritten.reset();
      for (const [publisher, status] of current()?.statuses.current ?? []) rewritten.inc({ publisher }, status.rewritten ?? 0);
    },
  });
  const partsLost: Counter<"publisher"> = new Counter({
    name: "atoll_replication_parts_lost_total",
    help: "Parts of answers that did not come when they were asked for, by publisher: asked for again by themselves, and the answer anew only when one is lost many times in a row.",
    labelNames: ["publisher"],
    registers: [registry],
    collect() {
      partsLost.reset();
      for (const [publisher, status] of current()?.statuses.current ?? []) partsLost.inc({ publisher }, status.partsLost ?? 0);
    },
  });
  const witnesses: Counter<"receiver"> = new Counter({
    name: "atoll_replication_witness_refused_total",
    help: "What receivers showed as this plane's own past, and was not signed by it or of no higher position.",
    labelNames: ["receiver"],
    registers: [registry],
    collect() {
      witnesses.reset();
      for (const [receiver, { witnessesRefused }] of current()?.lags.current ?? []) witnesses.inc({ receiver }, witnessesRefused);
    },
  });
  const unbelieving: Gauge<"receiver"> = new Gauge({
    name: "atoll_replication_receiver_needs_reconcile",
    help: "1 while a receiver applies nothing of this plane, since it has seen its store behind what it had told.",
    labelNames: ["receiver"],
    registers: [registry],
    collect() {
      unbelieving.reset();
      for (const [receiver, { needsReconcile }] of current()?.lags.current ?? []) unbelieving.set({ receiver }, needsReconcile ? 1 : 0);
    },
  });
  const refusing: Gauge<"receiver"> = new Gauge({
    name: "atoll_replication_receiver_refused",
    help: "Objects of this plane that a receiver is sent and goes on refusing, at most 16 of them.",
    labelNames: ["receiver"],
    registers: [registry],
    collect() {
      refusing.reset();
      for (const [receiver, lagging] of current()?.lags.current ?? []) refusing.set({ receiver }, lagging.refused.length);
    },
  });
  const lag: Gauge<"receiver"> = new Gauge({
    name: "atoll_replication_lag_seconds",
    help: "Age of the oldest frame that a receiver has not acknowledged; 0 when it has all.",
    labelNames: ["receiver"],
    registers: [registry],
    collect() {
      lag.reset();
      for (const [receiver, { behindMs }] of current()?.lags.current ?? []) lag.set({ receiver }, behindMs / 1_000);
    },
  });
}
