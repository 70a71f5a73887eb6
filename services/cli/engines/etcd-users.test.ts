import { describe, expect, it } from "vitest";
import { etcdTenants, etcdUser } from "./etcd-users.ts";

describe("the users of an etcd", () => {
  it("are planes by the common names of their certificates, each with the keys below its own prefix", () => {
    const { name, key, rangeEnd } = etcdUser("shop");
    expect([name, key.toString(), rangeEnd.toString()]).toEqual(["atoll-shop", "/atoll/cluster/shop/", "/atoll/cluster/shop0"]);
    expect(etcdUser("global").key.toString()).toBe("/atoll/global/");
    const longer = etcdUser("shop-eu").key;
    expect(Buffer.compare(longer, key) >= 0 && Buffer.compare(longer, rangeEnd) < 0).toBe(false);
  });

  it("are the planes whose configuration names it, in whatever order they name its members", () => {
    const etcd = (...endpoints: readonly string[]) => ({ kind: "etcd", endpoints });
    expect(etcdTenants([{ store: etcd("https://a:1", "https://b:1") }, { cluster: "eu", store: etcd("https://b:1", "https://a:1") }, { cluster: "us", store: etcd("https://c:1") }, { cluster: "ap", store: { kind: "sqlite" } }, {}])).toEqual([
      { endpoints: ["https://a:1", "https://b:1"], planes: ["global", "eu"] },
      { endpoints: ["https://c:1"], planes: ["us"] },
    ]);
  });
});
