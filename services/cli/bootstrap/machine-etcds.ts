import { etcdTenants, type EtcdTenants } from "../engines/etcd-users.ts";
import { hostPort, type MachineLayout } from "./machine-layout.ts";

/** The etcd of one region, of one member or more, and whose stores are in it. */
export interface MachineEtcd extends EtcdTenants {
  /** Where it stands; the global plane's store is in another region's where its own has none. */
  readonly region: string;
}

/** Each etcd of a federation on machines that planes' stores are in. Pure. */
export function machineEtcds({ machines }: MachineLayout): readonly MachineEtcd[] {
  const members = machines.flatMap(({ host, engines }) => (engines === undefined ? [] : [{ endpoint: `https://${hostPort(host.address, engines.etcdPort)}`, region: engines.region }]));
  return etcdTenants(machines.flatMap(({ processes }) => processes.map(({ config }) => config))).map((tenants) => {
    const found = members.find(({ endpoint }) => tenants.endpoints.includes(endpoint));
    if (found === undefined) throw new Error(`no machine has the etcd at ${tenants.endpoints.join(", ")}: the layout gives planes what it has`);
    return { ...tenants, region: found.region };
  });
}
