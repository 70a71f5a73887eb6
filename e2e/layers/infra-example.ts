import { etcdArguments, type EngineTlsFiles } from "#services/cli/engines/etcd-args.ts";
import { clusterPlaneUser, globalPlaneUser, natsConfig } from "#services/cli/engines/nats-config.ts";

/** Two regions on four machines: what infra/ shows. Addresses are private ones that stand for the reader's. */
const federation = "fed.example";
const hosts = [
  { region: "eu-west", address: "10.1.0.10", cluster: "shop-eu" },
  { region: "us-east", address: "10.2.0.10", cluster: "shop-us" },
] as const;

const tls: EngineTlsFiles = { certificate: "/etc/atoll/tls/engine.pem", privateKey: "/etc/atoll/tls/engine.key", ca: "/etc/atoll/tls/ca.pem" };
const ports = { etcdClient: 2379, etcdPeer: 2380, nats: 4222, natsGateway: 7222 } as const;

/**
 * The engines' configuration files in infra/ by their path, made by the same functions that `atoll up --engines` uses.
 * `node e2e/layers/write-infra.ts` writes them; a test compares.
 */
export function engineFiles(): ReadonlyMap<string, string> {
  const prefix = `spiffe://${federation}/atoll/plane`;
  const users = [globalPlaneUser(`${prefix}/global`), ...hosts.map(({ cluster }) => clusterPlaneUser(`${prefix}/cluster/${cluster}`, cluster))];
  const peers = hosts.map(({ region, address }) => ({ region, address, port: ports.natsGateway }));
  const files = new Map<string, string>();
  for (const { region, address } of hosts) {
    const args = etcdArguments({ name: region, dataDir: "/var/lib/atoll/etcd", address, clientPort: ports.etcdClient, peerPort: ports.etcdPeer, tls });
    files.set(`infra/etcd/${region}.env`, `# Arguments of etcd in ${region}, for infra/systemd/atoll-etcd.service.\nETCD_ARGS="${args.join(" ")}"\n`);
    const text = natsConfig({ name: `${region}-nats`, address, port: ports.nats, tls, users, gateway: { region, address, port: ports.natsGateway, tls, peers } });
    files.set(`infra/nats/${region}.conf`, `# nats-server of ${region}: one region of the supercluster.\n${text}`);
  }
  return files;
}
