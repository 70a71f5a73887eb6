import { changedKeys, OrderedMap } from "#federation/runtime/ordered-map.ts";
import type { EndpointState, InstancesByService } from "../cluster-state.ts";

/** The instances of a cluster by what they back, followed through the registry's states. */
export class ServiceInstances {
  #instances: ReadonlyMap<string, EndpointState> = OrderedMap.of<EndpointState>();
  #byService = OrderedMap.of<OrderedMap<EndpointState>>();

  /** Of the next state, by instance id. O(changed instances, log of all). */
  next(instances: ReadonlyMap<string, EndpointState>): InstancesByService {
    for (const id of changedKeys(this.#instances, instances)) {
      const before = this.#instances.get(id);
      const after = instances.get(id);
      for (const service of new Set([...servicesOf(before), ...servicesOf(after)])) this.#put(service, id, servicesOf(after).includes(service) ? after : undefined);
    }
    this.#instances = instances;
    return this.#byService;
  }

  #put(service: string, id: string, instance: EndpointState | undefined): void {
    const present = this.#byService.get(service) ?? OrderedMap.of<EndpointState>();
    const next = instance === undefined ? present.without(id) : present.with(id, instance);
    this.#byService = next.size === 0 ? this.#byService.without(service) : this.#byService.with(service, next);
  }
}

function servicesOf(instance: EndpointState | undefined): readonly string[] {
  return instance === undefined ? [] : instance.record.ports.map(({ namespace, service }) => `${namespace}/${service}`);
}
