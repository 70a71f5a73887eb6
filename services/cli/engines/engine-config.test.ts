import { describe, expect, it } from "vitest";
import { etcdArguments } from "./etcd-args.ts";
import { enginesCacheDirectory, findInstalled } from "./find-engine.ts";
import { clusterPlaneUser, globalPlaneUser, natsConfig } from "./nats-config.ts";

const tls = { certificate: "/pki/engine.pem", privateKey: "/pki/engine.key", ca: "/pki/ca.pem" };

describe("the configuration of nats-server", () => {
  const users = [globalPlaneUser("spiffe://demo.atoll/atoll/plane/global"), clusterPlaneUser("spiffe://demo.atoll/atoll/plane/cluster/shop-eu", "shop-eu")];

  it("maps certificates to users who may do what their plane needs, and nothing else", () => {
    const text = natsConfig({ name: "eu", address: "127.0.0.1", port: 4222, tls, users });
    expect(text).toContain("verify_and_map: true");
    expect(text).toContain('default_permissions: { publish: { deny: ">" }, subscribe: { deny: ">" } }');
    expect(text).toContain(
      '{ user: "spiffe://demo.atoll/atoll/plane/cluster/shop-eu", permissions: { publish: { allow: ["atoll.up.shop-eu.>"] }, subscribe: { allow: ["atoll.down.shop-eu.>", "_INBOX_shop-eu.>"] }, allow_responses: { max: 1, expires: "1m" } } }',
    );
    expect(text).not.toContain("jetstream");
    expect(text).not.toContain("gateway {");
  });

  it("names the other regions' gateways, reached with mutual TLS, and lets no other in", () => {
    const text = natsConfig({
      name: "eu",
      address: "127.0.0.1",
      port: 4222,
      tls,
      users,
      gateway: { region: "eu-west", address: "127.0.0.1", port: 7222, tls, peers: [{ region: "us-east", address: "::1", port: 7223 }] },
    });
    expect(text).toContain("reject_unknown_cluster: true");
    expect(text).toContain('{ name: "us-east", urls: ["nats://[::1]:7223"] }');
    expect(text.match(/verify: true/g)).toHaveLength(1);
  });

  it("takes the other servers of its region for routes by their common name in certificates, and each gateway by all its servers", () => {
    const cluster = { name: "eu-west", address: "10.1.0.1", port: 6222, tls, spiffeId: "spiffe://demo.atoll/atoll/engine/eu-west", routes: [{ address: "10.1.0.1", port: 6222 }, { address: "10.1.0.2", port: 6222 }] };
    const peers = [{ region: "us-east", address: "10.2.0.1", port: 7222 }, { region: "us-east", address: "10.2.0.2", port: 7222 }];
    const text = natsConfig({ name: "eu-1", address: "10.1.0.1", port: 4222, tls, users, cluster, gateway: { region: "eu-west", address: "10.1.0.1", port: 7222, tls, peers } });
    expect(text).toContain('authorization { user: "spiffe://demo.atoll/atoll/engine/eu-west" }');
    expect(text).toContain('routes: ["nats://10.1.0.1:6222", "nats://10.1.0.2:6222"]');
    expect(text.match(/verify_and_map: true/g)).toHaveLength(2);
    expect(text).toContain('{ name: "us-east", urls: ["nats://10.2.0.1:7222", "nats://10.2.0.2:7222"] }');
  });

  it("quotes what a path may hold, and refuses control characters", () => {
    const withPath = (certificate: string): string => natsConfig({ name: "a", address: "127.0.0.1", port: 1, tls: { ...tls, certificate }, users });
    expect(withPath('/a "b"\\c')).toContain('cert_file: "/a \\"b\\"\\\\c"');
    expect(() => withPath("/a\njetstream: enabled")).toThrow(RangeError);
  });
});

describe("the arguments of etcd", () => {
  it("let clients in by certificate only and keep peers on loopback", () => {
    const args = etcdArguments({ name: "eu", dataDir: "/data", address: "::1", clientPort: 2379, peerPort: 2380, tls });
    expect(args).toContain("--client-cert-auth");
    expect(args).toContain("--listen-client-urls=https://[::1]:2379");
    expect(args).toContain("--listen-peer-urls=http://127.0.0.1:2380");
    expect(args).toContain("--initial-cluster=eu=http://127.0.0.1:2380");
    expect(args).toContain("--enable-grpc-gateway=false");
    expect(args.join(" ")).not.toContain("hostname");
  });

  it("let in nobody but who bears the host name of the plane whose etcd it is", () => {
    const args = etcdArguments({ name: "eu", dataDir: "/data", address: "::1", clientPort: 2379, peerPort: 2380, tls, clientHost: "shop-eu.store.atoll.internal" });
    expect(args).toContain("--client-cert-allowed-hostname=shop-eu.store.atoll.internal");
  });

  it("let peers in by the common name of their certificates only", () => {
    const members = [{ name: "eu-1", address: "10.1.0.1", port: 2380 }, { name: "eu-2", address: "2001:db8::2", port: 2380 }];
    const args = etcdArguments({ name: "eu-1", dataDir: "/data", address: "10.1.0.1", clientPort: 2379, peerPort: 2380, tls, cluster: { token: "t", commonName: "@eu", members } });
    expect(args).toEqual(expect.arrayContaining(["--listen-peer-urls=https://10.1.0.1:2380", "--initial-cluster=eu-1=https://10.1.0.1:2380,eu-2=https://[2001:db8::2]:2380", "--initial-cluster-token=t", "--peer-client-cert-auth", "--peer-cert-allowed-cn=@eu"]));
  });
});

describe("finding an engine", () => {
  it("looks into PATH first, and caches where the user's caches are", () => {
    expect(findInstalled("etcd", { PATH: "/nowhere" })).not.toBe("/nowhere/etcd");
    expect(enginesCacheDirectory({ XDG_CACHE_HOME: "/caches" })).toBe("/caches/atoll/engines");
    expect(enginesCacheDirectory({ XDG_CACHE_HOME: "" })).toMatch(/\/\.cache\/atoll\/engines$/);
  });
});
