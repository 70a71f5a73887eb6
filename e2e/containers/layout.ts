import { etcdArguments, type EngineTlsFiles } from "#services/cli/engines/etcd-args.ts";
import { clusterPlaneUser, globalPlaneUser, natsConfig } from "#services/cli/engines/nats-config.ts";
import type { TestNetwork } from "./networks.ts";
import type { Attachment } from "./placed-container.ts";

/** The federation of the tests on containers: users in eu-west, what they call in us-east and ap-south. */
export const federation = "fed.example";
export const trustDomain = "shop.example";

export const regions = ["eu-west", "us-east", "ap-south"] as const;
export type Region = (typeof regions)[number];
export const clusterOf: Readonly<Record<Region, string>> = { "eu-west": "shop-eu", "us-east": "shop-us", "ap-south": "shop-ap" };

/** A network of each region, and the one between them. */
export type Networks = Readonly<Record<Region | "wan", TestNetwork>>;

/** Numbers of hosts: the same in each region; between regions, with the region's block added. */
const hosts = { etcd: 10, nats: 11, plane: 12, gateway: 13, app: 14, users: 15, global: 16 } as const;
type Host = keyof typeof hosts;
const wanBlock: Readonly<Record<Region, number>> = { "eu-west": 100, "us-east": 140, "ap-south": 180 };

/** The address inside a region. */
export function localAddress(networks: Networks, region: Region, host: Host): string {
  return networks[region].address(hosts[host]);
}

/** The address between regions. */
export function wanAddress(networks: Networks, region: Region, host: Host): string {
  return networks.wan.address(wanBlock[region] + hosts[host]);
}

/** Both interfaces of what speaks with other regions. */
export function bothAttachments(networks: Networks, region: Region, host: Host): readonly Attachment[] {
  return [
    { network: networks[region], address: localAddress(networks, region, host) },
    { network: networks.wan, address: wanAddress(networks, region, host) },
  ];
}

const tls: EngineTlsFiles = { certificate: "/etc/atoll/engine.pem", privateKey: "/etc/atoll/engine.key", ca: "/etc/atoll/ca.pem" };
const everywhere = "0.0.0.0";

/** etcd of a region, for its own planes only. */
export function etcdCommand(networks: Networks, region: Region): readonly string[] {
  return ["/usr/bin/etcd", ...etcdArguments({ name: region, dataDir: "/state/etcd", address: localAddress(networks, region, "etcd"), clientPort: 2379, peerPort: 2380, tls })];
}

/** nats-server of a region: one of the supercluster. */
export function natsText(networks: Networks, region: Region): string {
  const prefix = `spiffe://${federation}/atoll/plane`;
  const users = [globalPlaneUser(`${prefix}/global`), ...Object.values(clusterOf).map((cluster) => clusterPlaneUser(`${prefix}/cluster/${cluster}`, cluster))];
  const address = wanAddress(networks, region, "nats");
  const peers = regions.map((name) => ({ region: name, address: wanAddress(networks, name, "nats"), port: 7222 }));
  return natsConfig({ name: `${region}-nats`, address, port: 4222, tls, users, gateway: { region, address, port: 7222, tls, peers } });
}

const store = (networks: Networks, region: Region): object => ({ kind: "etcd", endpoints: [`https://${localAddress(networks, region, "etcd")}:2379`] });
const bus = (networks: Networks, region: Region): object => ({ kind: "nats", servers: [`tls://${wanAddress(networks, region, "nats")}:4222`] });

/** The global plane: in eu-west, on the etcd there. */
export function globalConfig(networks: Networks): object {
  return {
    federation,
    dataDir: "/var/lib/atoll",
    listen: { address: everywhere },
    advertiseAddress: wanAddress(networks, "eu-west", "global"),
    store: store(networks, "eu-west"),
    bus: bus(networks, "eu-west"),
  };
}

/** A cluster's plane; that of eu-west holds the trust domain's root. */
export function planeConfig(networks: Networks, region: Region): object {
  return {
    cluster: clusterOf[region],
    dataDir: "/var/lib/atoll",
    listen: { address: everywhere },
    // Other planes dial the signer; what a region's proxies dial is inside the region, so that a cut leaves it alone.
    advertiseAddress: region === "eu-west" ? wanAddress(networks, region, "plane") : localAddress(networks, region, "plane"),
    store: store(networks, region),
    bus: bus(networks, region),
    globalJoinTokenFile: "/etc/atoll/join-token",
    signer: region === "eu-west" ? { kind: "own", trustDomain } : { kind: "remote", tokenFile: "/etc/atoll/signer-token" },
  };
}

/** The way into a region. */
export function gatewayConfig(networks: Networks, region: Region): object {
  return { mode: "gateway", name: `${clusterOf[region]}-gateway`, dataDir: "/var/lib/atoll", joinTokenFile: "/etc/atoll/join-token", address: wanAddress(networks, region, "gateway"), region, drainMs: 5_000 };
}

/** Applications' ports behind a sidecar. */
export const appPorts: Readonly<Record<"nginx" | "httpbin", number>> = { nginx: 8080, httpbin: 8081 };

/** Beside nginx, and in ap-south httpbin. Each service is ready when its port accepts connections. */
export function appSidecarConfig(networks: Networks, region: Region): object {
  const services = [{ namespace: "web", service: "catalog", port: 80, appPort: appPorts.nginx }];
  if (region === "ap-south") services.push({ namespace: "web", service: "echo", port: 80, appPort: appPorts.httpbin });
  return { ...sidecar(networks, region, "app"), workload: { instanceId: `${region}-apps`, services } };
}

/** Beside the users of eu-west; it only calls. */
export function usersSidecarConfig(networks: Networks): object {
  return { ...sidecar(networks, "eu-west", "users"), edge: true };
}

function sidecar(networks: Networks, region: Region, host: "app" | "users"): object {
  return { mode: "sidecar", name: `${region}-${host}`, dataDir: "/var/lib/atoll", joinTokenFile: "/etc/atoll/join-token", address: localAddress(networks, region, host), region, drainMs: 5_000 };
}

/** What nginx says, of its region. */
export function nginxText(region: Region): string {
  return [
    "daemon off;",
    "worker_processes 1;",
    "pid /tmp/nginx.pid;",
    "error_log /dev/stderr warn;",
    "events { worker_connections 512; }",
    "http {",
    "  access_log off;",
    "  client_body_temp_path /tmp/body; proxy_temp_path /tmp/proxy; fastcgi_temp_path /tmp/fastcgi; uwsgi_temp_path /tmp/uwsgi; scgi_temp_path /tmp/scgi;",
    `  server { listen 127.0.0.1:${appPorts.nginx}; location / { add_header x-region ${region}; return 200 "${region}\\n"; } }`,
    "}",
    "",
  ].join("\n");
}

/** A document that says in which order users' requests try regions. */
export function policyText(order: readonly Region[]): string {
  return documents([`kind: TrafficPolicy\nmetadata: { name: catalog, namespace: web }\nspec:\n  targetRef: { namespace: web, name: catalog, trustDomain: ${trustDomain} }\n  locality: { mode: ordered, order: [${order.join(", ")}] }\n`]);
}

function documents(parts: readonly string[]): string {
  return parts.map((part) => `---\napiVersion: atoll.dev/v1alpha1\n${part}`).join("");
}

/** Regions, clusters, the trust domain's services and the order in which users' requests go. */
export function resourceTexts(networks: Networks): { readonly global: string; readonly ofRegion: (region: Region) => string } {
  const clusters = regions.map((region) => {
    const gateways = region === "eu-west" ? "[]" : `[{ address: ${wanAddress(networks, region, "gateway")}, port: 15443 }]`;
    return `kind: Cluster\nmetadata: { name: ${clusterOf[region]} }\nspec:\n  region: ${region}\n  trustDomain: ${trustDomain}\n  exportNamespaces: [web]\n  gateways: ${gateways}\n`;
  });
  const service = (name: string): readonly string[] => [
    `kind: Service\nmetadata: { name: ${name}, namespace: web }\nspec:\n  ports: [{ name: http, port: 80, protocol: http }]\n  serviceAccounts: [apps]\n`,
    `kind: ServiceExport\nmetadata: { name: ${name}, namespace: web }\nspec:\n  consumers: [{ trustDomain: ${trustDomain} }]\n`,
  ];
  return {
    global: documents([...regions.map((region) => `kind: Region\nmetadata: { name: ${region} }\nspec: { displayName: ${region} }\n`), ...clusters]) + policyText(["us-east", "ap-south"]),
    ofRegion: (region) => documents([...service("catalog"), ...(region === "ap-south" ? service("echo") : [])]),
  };
}
