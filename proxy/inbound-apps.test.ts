import { expect, test } from "vitest";
import type { ClusterId, RegionId, TrustDomainName } from "#federation/model/names.ts";
import { createSeededRandom } from "#federation/runtime/random.ts";
import { VirtualClock } from "#federation/runtime/virtual-clock.ts";
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
