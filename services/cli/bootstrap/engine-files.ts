import { createEngineId, engineCommonName } from "#federation/model/engine-identity.ts";
import { etcdArguments, type EngineTlsFiles } from "../engines/etcd-args.ts";
import { natsConfig } from "../engines/nats-config.ts";
import { planeUsers } from "../up/engine-plan.ts";
import type { FederationPlan } from "../up/federation-plan.ts";
import type { Machine, MachineLayout } from "./machine-layout.ts";

/** The configuration of a machine's etcd and nats-server, by file name below its configuration directory; none where none stand on it. Pure. */
export function engineFiles(machine: Machine, { description, placement }: MachineLayout, plan: FederationPlan): ReadonlyMap<string, string> {
  const { engines, host, paths } = machine;
  if (engines === undefined) return new Map();
  const { region, etcdPort, etcdPeerPort, natsPort, natsRoutePort, natsGatewayPort } = engines;
  const { listen: address, address: advertise } = host;
  const tls: EngineTlsFiles = { certificate: `${paths.config}/tls/engine.pem`, privateKey: `${paths.config}/tls/engine.key`, ca: `${paths.config}/tls/ca.pem` };
  const everywhere = placement.engines.map((place) => ({ ...place, address: placement.hosts.find(({ name }) => name === place.host)?.address ?? "" }));
  const members = everywhere.filter((place) => place.region === region);
  const isAlone = members.length === 1;
  const args = etcdArguments({
    name: host.name,
    dataDir: `${paths.state}/etcd`,
    address,
    advertise,
    clientPort: etcdPort,
    peerPort: etcdPeerPort,
    tls,
    ...(isAlone ? {} : { cluster: { token: `${description.trustDomain}-${region}`, commonName: engineCommonName(region), members: members.map((member) => ({ name: member.host, address: member.address, port: member.etcdPeerPort })) } }),
  });
  const conf = natsConfig({
    name: `${host.name}-nats`,
    address,
    advertise,
    port: natsPort,
    tls,
    users: planeUsers(plan),
    ...(isAlone
      ? {}
      : { cluster: { name: region, address, port: natsRoutePort, tls, spiffeId: createEngineId(description.trustDomain, region), routes: members.map((member) => ({ address: member.address, port: member.natsRoutePort })) } }),
    gateway: { region, address, port: natsGatewayPort, tls, peers: everywhere.map((place) => ({ region: place.region, address: place.address, port: place.natsGatewayPort })) },
  });
  const ofMany = isAlone ? "" : `, one of ${members.length}`;
  return new Map([
    ["etcd.env", `# Arguments of etcd in ${region}${ofMany}, for atoll-etcd.service.\nETCD_ARGS="${args.join(" ")}"\n`],
    ["nats.conf", `# nats-server of ${region}${ofMany}: one region of the supercluster.\n${conf}`],
  ]);
}
