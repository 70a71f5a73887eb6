import { expect, test } from "vitest";
import type { ClusterId, RegionId, TrustDomainName } from "#federation/model/names.ts";
import { serviceHost, serviceSni } from "#federation/model/service.ts";
import { createSeededRandom } from "#federation/runtime/random.ts";
import { VirtualClock } from "#federation/runtime/virtual-clock.ts";
import { Ticket } from "./admission/ticket.ts";
import { TimingWheel } from "./http/timing-wheel.ts";
import { InboundApps } from "./inbound-apps.ts";
import { createTcpStats } from "./tcp/outbound-listener.ts";
import { plainConnector } from "./upstream/connector.ts";
import { PoolSet } from "./upstream/pool-set.ts";

const sni = "p80.catalog.web.svc.shop.example";

test("callers hear of no room while this process refuses for itself, however much the application has", () => {
  const clock = new VirtualClock();
  const pools = new PoolSet({ connector: plainConnector, clock, random: createSeededRandom(1), wheel: new TimingWheel(clock) });
  const shed = { share: 0 };
  const apps = new InboundApps(
    { instanceId: "catalog-0", services: [{ namespace: "web", service: "catalog", port: 80, appPort: 8_080 }], weight: 1, readiness: { intervalMs: 1_000 } },
    { trustDomain: "shop.example" as TrustDomainName, cluster: "here" as ClusterId, region: "eu" as RegionId, pools, clock, stats: createTcpStats(), shed },
  );
  expect(apps.reportOf(sni).headroom).toBeGreaterThan(0);
  shed.share = 0.1;
  expect(apps.reportOf(sni)).toMatchObject({ headroom: 0, utilizationRatio: 1 });
  shed.share = 0;
  expect(apps.reportOf(sni).headroom).toBeGreaterThan(0);
});

const trustDomain = "shop.example" as TrustDomainName;
const workload = {
  instanceId: "catalog-1",
  services: [
    { namespace: "web", service: "catalog", port: 80, appPort: 9_001 },
    { namespace: "web", service: "search", port: 80, appPort: 9_002 },
  ],
  weight: 1,
  readiness: { intervalMs: 1_000 },
};

test("says which of its ports is overloaded, and how much, within a second of its begin and its end", async () => {
  const clock = new VirtualClock();
  const pools = new PoolSet({ connector: plainConnector, clock, random: createSeededRandom(1), wheel: new TimingWheel(clock) });
  const apps = new InboundApps(workload, { trustDomain, cluster: "shop-eu" as ClusterId, region: "eu-west" as RegionId, pools, clock, stats: createTcpStats(), shed: { share: 0 } });
  const admission = apps.routeOf(serviceSni(serviceHost({ namespace: "web", name: "catalog", trustDomain }), 80))?.admission;
  const usual = workload.services.map(({ namespace, service, port }) => ({ namespace, service, port }));
  await clock.advance(20_000);
  apps.onLoopTick(0, clock.monotonicMs());
  expect([apps.overloaded.current, apps.ports()]).toEqual(["", usual]);

  // Its time is over when it comes: admission refuses it whatever the limit is.
  const late = new Ticket({ onAdmitted() {}, onRefused() {} });
  late.deadlineMs = 0;
  for (let count = 0; count < 50; count++) admission?.enter(late, clock.monotonicMs());
  apps.onLoopTick(0, clock.monotonicMs() + 900);
  expect(apps.overloaded.current).toBe("");
  await clock.advance(1_000);
  apps.onLoopTick(0, clock.monotonicMs());
  expect(apps.overloaded.current).toBe("9001");
  expect(apps.ports()).toEqual([{ ...usual[0], admits: 0, asked: 9 }, usual[1]]);

  await clock.advance(10_000);
  apps.onLoopTick(0, clock.monotonicMs());
  expect([apps.overloaded.current, apps.ports()]).toEqual(["", usual]);
});
