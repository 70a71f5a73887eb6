import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { clusterRoutes } from "#federation/admin-api/plane-routes.ts";
import type { ClusterStatus } from "#federation/admin-api/status.ts";
import type { RegionId, TrustDomainName } from "#federation/model/names.ts";
import { apiVersion, type Cluster } from "#federation/model/resource.ts";
import { DnsServer } from "#federation/runtime/dns/dns-server-fixture.ts";
import { createDnsLookup } from "#federation/runtime/dns/name-lookup.ts";
import { eventually } from "./eventually.ts";
import { InProcessPlanes, type RunningPlane } from "./in-process-planes.ts";

const { signal } = new AbortController();
const shop = "shop.example" as TrustDomainName;
const gateway = "gateways.shop-eu.example";

const cluster = (name: string, region: string, address: string): Cluster => ({
  apiVersion,
  kind: "Cluster",
  metadata: { name },
  spec: { region: region as RegionId, trustDomain: shop, exportNamespaces: [], gateways: [{ address, port: 15_443 }] },
});

describe("names that are dialled at a plane", () => {
  let dns: DnsServer;
  let planes: InProcessPlanes;
  let caller: RunningPlane;

  beforeAll(async () => {
    dns = await DnsServer.open();
    dns.set(gateway, { addresses: ["127.0.0.8", "127.0.0.7"], ttlSeconds: 1 });
    planes = await InProcessPlanes.create(createDnsLookup({ servers: [dns.server] }));
    await planes.startGlobal();
    using admin = planes.admin();
    for (const name of ["eu-west", "us-east"]) await admin.apply({ apiVersion, kind: "Region", metadata: { name }, spec: {} }, {}, signal);
    for (const one of [cluster("shop-eu", "eu-west", gateway), cluster("shop-us", "us-east", "127.0.0.1")]) await admin.apply(one, {}, signal);
    await planes.startCluster("shop-eu", { signer: shop });
    caller = await planes.startCluster("shop-us", { enrolsAt: "shop-eu" });
  });

  afterAll(async () => {
    await planes[Symbol.asyncDispose]();
    await dns[Symbol.asyncDispose]();
  });

  const namesAt = async (where: string): Promise<ClusterStatus["names"]> => {
    using admin = planes.admin(where);
    return (await admin.call(clusterRoutes.status, {}, signal)).body.names;
  };

  it("are in its status with what they stand for now, and with the trouble when they do not resolve any more", async () => {
    const row = { name: gateway, use: "a gateway of shop-eu" };
    await eventually("the plane of the other cluster knows the gateway's addresses", async () => (await namesAt("shop-us"))?.some(({ addresses }) => addresses.length === 2));
    expect(await namesAt("shop-us")).toEqual([{ ...row, addresses: ["127.0.0.7", "127.0.0.8"] }]);
    // Nobody in its own cluster dials it.
    expect(await namesAt("shop-eu")).toEqual([]);
    dns.set(gateway, { addresses: ["127.0.0.9"], ttlSeconds: 1 });
    await eventually("it has moved", async () => (await namesAt("shop-us"))?.[0]?.addresses.join() === "127.0.0.9");
    expect(await caller.metrics()).toContain('atoll_names_unresolved{plane="shop-us"} 0');
    dns.set(gateway, undefined);
    await eventually("it is gone", async () => (await namesAt("shop-us"))?.[0]?.problem !== undefined, 60_000);
    expect(await namesAt("shop-us")).toEqual([{ ...row, addresses: ["127.0.0.9"], problem: "no such name, or no address under it" }]);
    expect(await caller.metrics()).toContain('atoll_names_unresolved{plane="shop-us"} 1');
  });
});
