import { createEngineId, engineCommonName } from "#federation/model/engine-identity.ts";
import type { EnginePlace } from "#federation/model/federation-description.ts";
import { etcdArguments, type EngineTlsFiles } from "../engines/etcd-args.ts";
import { natsConfig } from "../engines/nats-config.ts";
import { planeUsers } from "../up/engine-plan.ts";
import type { FederationPlan } from "../up/federation-plan.ts";
import type { Machine, MachineLayout } from "./machine-layout.ts";

type EngineAddress = EnginePlace & { readonly address: string };

/** The configuration of a machine's etcd and nats-server, by file name below its configuration directory; none where none stand on it. Pure. */
export function engineFiles(machine: Machine, layout: MachineLayout, plan: FederationPlan): ReadonlyMap<string, string> {
  const { engines, host } = machine;
  if (engines === undefined) return new Map();
  const { region, natsPort, natsRoutePort, natsGatewayPort } = engines;
  const { listen: address, address: advertise } = host;
  const tls = tlsFiles(machine);
  const members = membersIn(layout, region);
  const isAlone = members.length === 1;
  const conf = natsConfig({
    name: `${host.name}-nats`,
    address,
    advertise,
    port: natsPort,
    tls,
    users: planeUsers(plan),
    ...(isAlone
      ? {}
      : { cluster: { name: region, address, port: natsRoutePort, tls, spiffeId: createEngineId(layout.description.trustDomain, region), routes: members.map((member) => ({ address: member.address, port: member.natsRoutePort })) } }),
    gateway: { region, address, port: natsGatewayPort, tls, peers: membersEverywhere(layout).map((place) => ({ region: place.region, address: place.address, port: place.natsGatewayPort })) },
  });
  const ofMany = isAlone ? "" : `, one of ${members.length}`;
  return new Map([
    ["etcd.env", `# Arguments of etcd in ${region}${ofMany}, for atoll-etcd.service.\nETCD_ARGS="${engineArguments(machine, layout).join(" ")}"\n`],
    ["nats.conf", `# nats-server of ${region}${ofMany}: one region of the supercluster.\n${conf}`],
  ]);
}

/** The arguments of a machine's etcd; none where none stands on it. Pure. */
export function engineArguments(machine: Machine, layout: MachineLayout): readonly string[] {
  const { engines, host, paths } = machine;
  if (engines === undefined) return [];
  const members = membersIn(layout, engines.region);
  return etcdArguments({
    name: host.name,
    dataDir: `${paths.state}/etcd`,
    address: host.listen,
    advertise: host.address,
    clientPort: engines.etcdPort,
    peerPort: engines.etcdPeerPort,
    tls: tlsFiles(machine),
    ...(members.length === 1
      ? {}
      : { cluster: { token: `${layout.description.trustDomain}-${engines.region}`, commonName: engineCommonName(engines.region), members: members.map((member) => ({ name: member.host, address: member.address, port: member.etcdPeerPort })) } }),
  });
}

function tlsFiles({ paths }: Machine): EngineTlsFiles {
  return { certificate: `${paths.config}/tls/engine.pem`, privateKey: `${paths.config}/tls/engine.key`, ca: `${paths.config}/tls/ca.pem` };
}

function membersIn(layout: MachineLayout, region: string): readonly EngineAddress[] {
  return membersEverywhere(layout).filter((place) => place.region === region);
}

function membersEverywhere({ placement }: MachineLayout): readonly EngineAddress[] {
  return placement.engines.map((place) => ({ ...place, address: placement.hosts.find(({ name }) => name === place.host)?.address ?? "" }));
}
