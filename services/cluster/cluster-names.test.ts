import { expect, it } from "vitest";
import type { RegionId } from "#federation/model/names.ts";
import type { Cluster } from "#federation/model/resource.ts";
import { clusterNames } from "./cluster-names.ts";
import { clusterResource, clusterState } from "./cluster-state-fixture.ts";

it("names what is dialled in a cluster: its engines, the planes, and others' gateways as they are meant for its region", () => {
  const { self } = clusterState();
  const other: Cluster = { ...clusterResource(), metadata: { name: "shop-us" }, spec: { ...clusterResource().spec, gateways: [
    { address: "anywhere.example", port: 1 },
    { address: "from-here.example", port: 1, regions: [self.region] },
    { address: "10.0.0.1", port: 1, regions: [self.region] },
    { address: "from-there.example", port: 1, regions: ["ap-south" as RegionId] },
  ] } };
  const own: Cluster = { ...clusterResource(), metadata: { name: self.cluster }, spec: { ...clusterResource().spec, gateways: [{ address: "own.example", port: 1 }] } };
  const config = { advertiseAddress: "plane.example", store: { kind: "etcd", endpoints: ["https://etcd-1.example:2379", "https://10.0.0.2:2379"] }, bus: { kind: "nats", servers: ["tls://nats.example:4222"] } } as const;
  const names = clusterNames({ config, self, globalAddresses: ["global.example:7400"], clusters: new Map([[self.cluster, own], ["shop-us", other]]) });
  expect(names.map(({ name, use }) => `${name}: ${use}`)).toEqual([
    `etcd-1.example: etcd of ${self.cluster}`,
    `nats.example: NATS of ${self.cluster}`,
    "global.example: the global plane",
    `plane.example: the plane of ${self.cluster}`,
    "from-here.example: a gateway of shop-us",
  ]);
  expect(clusterNames({ config: { advertiseAddress: "127.0.0.1", store: { kind: "sqlite" }, bus: { kind: "socket", path: "/s" } }, self, globalAddresses: [], clusters: new Map() })).toEqual([]);
});
