import { expect, it } from "vitest";
import { engineAddresses } from "./engine-config.ts";

it("a plane's engines are dialled where its configuration says, by their usual ports where it says none", () => {
  const store = { kind: "etcd", endpoints: ["https://[2001:db8::1]:3379", "https://etcd.shop.example"] } as const;
  const bus = { kind: "nats", servers: ["tls://10.1.0.1:4222/", "tls://nats.shop.example"] } as const;
  expect(engineAddresses({ store, bus }).map(({ engine, host, port }) => `${engine} ${host} ${port}`)).toEqual(["etcd 2001:db8::1 3379", "etcd etcd.shop.example 2379", "nats 10.1.0.1 4222", "nats nats.shop.example 4222"]);
  expect(engineAddresses({ store: { kind: "sqlite" }, bus: { kind: "socket", path: "/bus.sock" } })).toEqual([]);
});
