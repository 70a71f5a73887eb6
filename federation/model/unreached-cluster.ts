import { describeAge } from "#federation/runtime/describe-age.ts";

/** Another cluster of which a proxy reaches no gateway, though its plane knows of some. */
export interface UnreachedCluster {
  readonly cluster: string;
  /** Since one of them answered last, in ms. */
  readonly forMs: number;
}

/** The same, and which proxy says so: by its instance id, or its name where it backs no service. */
export interface InstanceUnreached extends UnreachedCluster {
  readonly instance: string;
}

/** A cluster that proxies do not reach; those of the longest time first, and no more of them named than `instancesNamedMax`. */
export interface UnreachedByCluster extends UnreachedCluster {
  readonly instances: number;
  readonly named: readonly string[];
}

/** Shorter silences are a gateway's restart, or a lost packet, and are told to nobody. Ms. */
export const unreachedMsMin = 5_000;

/** Clusters that one proxy says it does not reach. */
export const unreachedMax = 256;

const instancesNamedMax = 3;

/** Adds up by cluster, in the order of their names. `forMs` is the longest. */
export function unreachedByCluster(unreached: readonly InstanceUnreached[]): readonly UnreachedByCluster[] {
  const clusters = new Map<string, InstanceUnreached[]>();
  for (const one of unreached.toSorted((a, b) => b.forMs - a.forMs)) {
    const known = clusters.get(one.cluster);
    if (known === undefined) clusters.set(one.cluster, [one]);
    else known.push(one);
  }
  return [...clusters]
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([cluster, said]) => ({ cluster, forMs: said[0]?.forMs ?? 0, instances: said.length, named: said.slice(0, instancesNamedMax).map(({ instance }) => instance) }));
}

/** How operators are told of the proxies in the cluster `here`; `who` names them, and `whom` what they do not reach. */
export function unreachedWords({ instances, forMs }: Pick<UnreachedByCluster, "instances" | "forMs">, { here, who, whom }: { readonly here: string; readonly who?: string; readonly whom: string }): string {
  const [noun, verb] = instances === 1 ? ["proxy", "has"] : ["proxies", "have"];
  return `${instances} ${noun} in ${here}${who === undefined ? "" : ` (${who})`} ${verb} reached no gateway of ${whom} for ${describeAge(forMs)}`;
}
