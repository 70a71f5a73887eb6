import { Registry } from "prom-client";
import { expect, it } from "vitest";
import type { EngineLook, EngineReport } from "#federation/model/engine-report.ts";
import { VirtualClock } from "#federation/runtime/virtual-clock.ts";
import { addEngineMetrics, EngineWatch } from "./engine-watch.ts";
import { silentLogger } from "./logger.ts";

const etcd: EngineReport = { kind: "etcd", address: "https://a:2379", version: "3.4.23", clockAheadMs: -1_500, database: { bytes: 50, usedBytes: 20, quotaBytes: 200 }, syncs: { count: 9, slow: 4, writes: 9 }, reaches: ["nested"] };
const nats: EngineReport = { kind: "nats", address: "tls://a:4222", version: "2.9.10", messageBytesMax: 1, reaches: ["hear", "say"] };

it("looks at each engine in its own time, forgets what cannot be looked at, and tries that again soon", async () => {
  const clock = new VirtualClock();
  const looks = { etcd: 0, nats: 0 };
  let isGone = false;
  const watched: readonly EngineLook[] = [
    { everyMs: 30_000, look: async () => (looks.etcd++, [etcd]) },
    {
      everyMs: 3_600_000,
      look: async () => {
        looks.nats++;
        if (isGone) throw new Error("it is away");
        return [nats];
      },
    },
  ];
  const watch = new EngineWatch(watched, { clock, logger: silentLogger });
  const stop = new AbortController();
  const ended = watch.run(stop.signal);
  expect(watch.reports).toEqual([]);
  await clock.advance(0);
  expect([watch.reports, looks]).toEqual([[etcd, nats], { etcd: 1, nats: 1 }]);
  await clock.advance(3_599_000);
  expect(looks).toEqual({ etcd: 120, nats: 1 });
  isGone = true;
  await clock.advance(1_000);
  expect([watch.reports, looks.nats]).toEqual([[etcd], 2]);
  isGone = false;
  await clock.advance(30_000);
  expect([watch.reports, looks.nats]).toEqual([[etcd, nats], 3]);
  stop.abort();
  await expect(ended).rejects.toMatchObject({ code: "ATOLL_ABORTED" });
});

it.each<EngineReport>([
  { kind: "etcd", address: "https://b:2379", silent: "away" },
  { ...etcd, address: "https://b:2379", hasLeader: false },
])("looks again soon at an etcd of which a member is missing (%#)", async (lost) => {
  const clock = new VirtualClock();
  let looks = 0;
  const watch = new EngineWatch([{ everyMs: 30_000, look: async () => (looks++, looks < 3 ? [etcd, lost] : [etcd]) }], { clock, logger: silentLogger });
  const stop = new AbortController();
  const ended = watch.run(stop.signal);
  await clock.advance(10_000);
  expect([looks, watch.reports]).toEqual([3, [etcd]]);
  await clock.advance(29_000);
  expect(looks).toBe(3);
  stop.abort();
  await expect(ended).rejects.toMatchObject({ code: "ATOLL_ABORTED" });
});

it("ends at once when it is to, also while an engine does not answer", async () => {
  const stop = new AbortController();
  const never = new Promise<never>(() => undefined);
  const ended = new EngineWatch([{ everyMs: 1, look: async () => await never }], { clock: new VirtualClock(), logger: silentLogger }).run(stop.signal);
  stop.abort();
  await expect(ended).rejects.toMatchObject({ code: "ATOLL_ABORTED" });
});

it("shows what it has seen", async () => {
  const registry = new Registry();
  addEngineMetrics(registry, { reports: [etcd, nats, { kind: "etcd", address: "https://b:2379", silent: "away" }, { kind: "etcd", address: "https://c:2379", hasLeader: false }], certificates: [{ engine: "etcd", address: "https://a:2379", notBeforeMs: 0, notAfterMs: 1_500 }] });
  expect((await registry.metrics()).split("\n").filter((line) => line !== "" && !line.startsWith("#"))).toEqual([
    'atoll_etcd_answers{address="https://a:2379"} 1',
    'atoll_etcd_answers{address="https://b:2379"} 0',
    'atoll_etcd_answers{address="https://c:2379"} 1',
    'atoll_etcd_has_leader{address="https://c:2379"} 0',
    'atoll_etcd_clock_ahead_seconds{address="https://a:2379"} -1.5',
    'atoll_etcd_quota_used_ratio{address="https://a:2379"} 0.25',
    'atoll_etcd_slow_syncs{address="https://a:2379"} 4',
    'atoll_engine_reaches{engine="etcd",address="https://a:2379",reach="nested"} 1',
    'atoll_engine_reaches{engine="nats",address="tls://a:4222",reach="hear"} 1',
    'atoll_engine_reaches{engine="nats",address="tls://a:4222",reach="say"} 1',
    'atoll_engine_certificate_expiry_timestamp_seconds{engine="etcd",address="https://a:2379"} 1.5',
  ]);
});
