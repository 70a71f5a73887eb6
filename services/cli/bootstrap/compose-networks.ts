import { isIPv4 } from "node:net";
import { AtollError } from "#federation/runtime/errors.ts";
import type { MachineLayout } from "./machine-layout.ts";

/** A region's network of containers: its machines have the lower half of the addresses, machines of others that visit it the upper. */
export interface ComposeNetwork {
  readonly region: string;
  readonly subnet: string;
  readonly visitors: string;
}

/** The first is the engine's own in each network. */
const machineNumbers = { min: 2, max: 127 } as const;

/**
 * One network for each region that has machines, found from their addresses. Pure.
 * @throws {ATOLL_USAGE} when the machines of a region do not share 256 IPv4 addresses that no other region has, a machine has another root than / or another address to listen on, or gateways have a load balancer.
 */
export function composeNetworks({ machines, placement }: MachineLayout): readonly ComposeNetwork[] {
  for (const [cluster, { address }] of placement.clusterGateways) {
    if (address !== undefined) throw usage(`the gateways of ${cluster} are dialled by ${address}; containers are dialled by the addresses of their hosts`);
  }
  const prefixes = new Map<string, string>();
  for (const { host } of machines) {
    const [, prefix = "", number = ""] = /^(\d+\.\d+\.\d+)\.(\d+)$/.exec(host.address) ?? [];
    if (!isIPv4(host.address) || Number(number) < machineNumbers.min || Number(number) > machineNumbers.max) {
      throw usage(`${host.name} has the address ${host.address}; containers take IPv4 addresses that end in ${machineNumbers.min} to ${machineNumbers.max}`);
    }
    if (host.listen !== host.address) throw usage(`${host.name} listens on ${host.listen}; containers listen on the address by which they are dialled`);
    if (host.root !== "") throw usage(`${host.name} has the root ${host.root}; containers have roots of their own`);
    const known = prefixes.get(host.region) ?? prefix;
    if (known !== prefix) throw usage(`the hosts of ${host.region} are in ${known}.0/24 and in ${prefix}.0/24; containers of a region share one network`);
    prefixes.set(host.region, prefix);
  }
  const regions = [...prefixes];
  for (const [region, prefix] of regions) {
    const other = regions.find(([name, candidate]) => name !== region && candidate === prefix);
    if (other !== undefined) throw usage(`the hosts of ${region} and of ${other[0]} are in ${prefix}.0/24; containers have a network for each region`);
  }
  return regions.map(([region, prefix]) => ({ region, subnet: `${prefix}.0/24`, visitors: `${prefix}.128/25` }));
}

function usage(what: string): AtollError {
  return new AtollError("ATOLL_USAGE", `no compose file can be made of this federation: ${what}`);
}
