import type { PlacedInstance } from "./app-processes.ts";
import { commandName, tcpVariable, workloadVariable } from "./app-processes.ts";
import type { FederationPlan, WorkloadPlan } from "./federation-plan.ts";
import { localAddress } from "./layout.ts";
import type { Topology } from "./topology.ts";
import { upstreamNameOf } from "./upstream-name.ts";

/** Where an instance of a user's service is, and how it calls others. */
export interface WayToCall {
  readonly service: string;
  readonly cluster: string;
  readonly region: string;
  /** Where the application listens. */
  readonly application: string;
  /** Where it calls others: its sidecar's outbound address. */
  readonly sidecar: string;
  /** A request of it to another service, for a shell; absent when it may call none. */
  readonly example?: string;
  /** The TCP services that it calls, with the address of each beside it and the variable that a program started here is told it by. */
  readonly tcp: readonly { readonly service: string; readonly address: string; readonly variable: string }[];
  /** What the application is to be told, to find the SPIFFE Workload API of its sidecar; absent where that serves none. */
  readonly identity?: string;
  /** Where the application's output goes, if it is started here. */
  readonly log?: string;
}

/** Every instance of a federation, with a request to try. Pure. */
export function waysToCall({ plan, instances, processes }: Topology): readonly WayToCall[] {
  return instances.map((placed) => {
    const { workload, instance, cluster, appPort, outboundPort, tcpPorts, workloadSocket } = placed;
    const identity = workloadSocket === undefined ? undefined : workloadVariable(workloadSocket);
    const sidecar = `http://${localAddress}:${outboundPort}`;
    const target = callee(plan, placed);
    const log = processes.find(({ spec }) => spec.name === commandName(instance.name))?.spec.logFile;
    return {
      service: `${workload.namespace}/${workload.service}`,
      cluster: cluster.name,
      region: cluster.region,
      application: `${localAddress}:${appPort}`,
      sidecar,
      tcp: tcpPorts.map((one) => ({ service: `${one.namespace}/${one.service}`, address: `${localAddress}:${one.port}`, variable: tcpVariable(one) })),
      ...(target === undefined ? {} : { example: `curl ${sidecar}/ -H 'Host: ${hostOf(target, workload.trustDomain)}'` }),
      ...(identity === undefined ? {} : { identity: `${identity.name}=${identity.value}` }),
      ...(log === undefined ? {} : { log }),
    };
  });
}

/** Another service that it may call, else itself: the shortest way to see a request pass. */
function callee(plan: FederationPlan, { workload }: PlacedInstance): WorkloadPlan | undefined {
  const callable = plan.workloads.filter((other) => other.protocol !== "tcp" && isNamed(workload, other) && mayCall(plan, workload, other));
  return callable.find((other) => other !== workload) ?? callable[0];
}

function isNamed({ upstreams, trustDomain }: WorkloadPlan, other: WorkloadPlan): boolean {
  return upstreams === undefined || upstreams.includes(upstreamNameOf({ ...other, name: other.service }, trustDomain));
}

function mayCall(plan: FederationPlan, caller: WorkloadPlan, other: WorkloadPlan): boolean {
  if (other.trustDomain === caller.trustDomain) return true;
  const principal = `ns/${caller.namespace}/sa/${caller.service}`;
  return plan.relationships.some(
    (one) =>
      one.caller.trustDomain === caller.trustDomain &&
      one.callee.trustDomain === other.trustDomain &&
      one.caller.principals.some((allowed) => allowed === "*" || allowed === principal) &&
      one.callee.services.includes(`${other.namespace}/${other.service}`),
  );
}

function hostOf({ namespace, service, trustDomain }: WorkloadPlan, from: string): string {
  return trustDomain === from ? `${service}.${namespace}` : `${service}.${namespace}.svc.${trustDomain}`;
}
