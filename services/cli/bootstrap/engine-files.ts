import { etcdArguments, type EngineTlsFiles } from "../engines/etcd-args.ts";
import { natsConfig } from "../engines/nats-config.ts";
import { planeUsers } from "../up/engine-plan.ts";
import type { FederationPlan } from "../up/federation-plan.ts";
import type { Machine, MachineLayout } from "./machine-layout.ts";

/** The configuration of a machine's etcd and nats-server, by file name below its configuration directory; none where none stand on it. Pure. */
export function engineFiles(machine: Machine, { placement }: MachineLayout, plan: FederationPlan): ReadonlyMap<string, string> {
  const { engines, host, paths } = machine;
  if (engines === undefined) return new Map();
  const { region, etcdPort, etcdPeerPort, natsPort, natsGatewayPort } = engines;
  const tls: EngineTlsFiles = { certificate: `${paths.config}/tls/engine.pem`, privateKey: `${paths.config}/tls/engine.key`, ca: `${paths.config}/tls/ca.pem` };
  const args = etcdArguments({ name: region, dataDir: `${paths.state}/etcd`, address: host.address, clientPort: etcdPort, peerPort: etcdPeerPort, tls });
  const peers = placement.engines.map((place) => ({ region: place.region, address: placement.hosts.find(({ name }) => name === place.host)?.address ?? "", port: place.natsGatewayPort }));
  const conf = natsConfig({ name: `${region}-nats`, address: host.address, port: natsPort, tls, users: planeUsers(plan), gateway: { region, address: host.address, port: natsGatewayPort, tls, peers } });
  return new Map([
    ["etcd.env", `# Arguments of etcd in ${region}, for atoll-etcd.service.\nETCD_ARGS="${args.join(" ")}"\n`],
    ["nats.conf", `# nats-server of ${region}: one region of the supercluster.\n${conf}`],
  ]);
}
