import type { VirtualClock } from "#federation/runtime/virtual-clock.ts";
import { clusters, globalName, namespace, shop } from "./cast.ts";
import type { SimulatedCluster, SimulatedGlobal } from "./planes.ts";
import { originOf, relationshipRegister, serviceName, versionBase, versionOf } from "./registers.ts";
import { settled } from "./settled.ts";

/** What a plane shows, by register; absent where it does not have it. */
export type Shown = ReadonlyMap<string, number>;

const never = new AbortController().signal;

/** Reads off what planes show, and knows what is meant for whom. */
export class ShownRegisters {
  readonly #global: SimulatedGlobal;
  readonly #clusters: readonly SimulatedCluster[];
  readonly #clock: VirtualClock;

  constructor(planes: { readonly global: SimulatedGlobal; readonly clusters: readonly SimulatedCluster[] }, clock: VirtualClock) {
    this.#global = planes.global;
    this.#clusters = planes.clusters;
    this.#clock = clock;
  }

  /** What a plane shows; undefined while it does not serve, or cannot read its store. */
  async at(name: string): Promise<Shown | undefined> {
    const shown = new Map<string, number>();
    if (name === globalName) {
      const { term, plane } = this.#global;
      if (term === undefined || plane.trouble === "away") return undefined;
      for (const { value } of (await settled(this.#clock, term.catalog.resources("TrafficPolicy").list(never))).items) shown.set(`policy/${value.metadata.name}`, (value.spec.timeouts?.requestMs ?? 0) - versionBase);
      for (const { value } of (await settled(this.#clock, term.catalog.resources("Relationship").list(never))).items) shown.set(relationshipRegister, versionOf(value));
      for (const { cluster, name: service, ports } of term.state.exports) shown.set(`export/${cluster}/${service}`, (ports[0]?.port ?? 0) - versionBase);
      return shown;
    }
    const { serving } = this.#clusters.find(({ cast }) => cast.name === name) ?? {};
    if (serving === undefined) return undefined;
    const { services, exports, imports } = serving.source.state.current;
    const { policies, relationships } = serving.replicated.state.current;
    for (const { metadata, spec } of policies.values()) shown.set(`policy/${metadata.name}`, (spec.timeouts?.requestMs ?? 0) - versionBase);
    for (const relationship of relationships.values()) shown.set(relationshipRegister, versionOf(relationship));
    for (const key of exports.keys()) shown.set(`export/${name}/${key.slice(namespace.length + 1)}`, (services.get(key)?.spec.ports[0]?.port ?? 0) - versionBase);
    for (const { spec } of imports.values()) shown.set(`export/${spec.cluster}/${spec.name}`, (spec.ports[0]?.port ?? 0) - versionBase);
    return shown;
  }

  /** Policies are everybody's, a relationship its sides'; exports are the global plane's, their own team's, and by a relationship that holds another's. */
  isMeantFor(name: string, register: string): boolean {
    if (!register.startsWith("export/")) return true;
    const origin = trustDomainOf(originOf(register));
    if (name === globalName || trustDomainOf(name) === origin) return true;
    return origin === shop && register.endsWith(`/${serviceName(0)}`) && this.#isRelated();
  }

  /** What is offered by a relationship comes and goes as it was. */
  mayBeWithdrawn(name: string, register: string): boolean {
    return register.startsWith("export/") && name !== globalName && trustDomainOf(originOf(register)) !== trustDomainOf(name);
  }

  #isRelated(): boolean {
    const { state } = this.#global.term ?? {};
    return state?.relationships.some((relationship) => state.inForce(relationship) !== undefined) === true;
  }
}

/** Whether the plane is the one that owns the register. */
export function isOwnOf(name: string, register: string): boolean {
  return originOf(register) === name;
}

export function trustDomainOf(name: string): string | undefined {
  return clusters.find((cluster) => cluster.name === name)?.trustDomain;
}
