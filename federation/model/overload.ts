/** An application that is asked for more than it can do: requests a second over the last seconds, those let in and those that came. */
export interface Overload {
  readonly admits: number;
  readonly asked: number;
}

/** An application of which less than this share of what is asked is refused is busy, and not overloaded. */
const overloadedShare = 0.01;

/** The overload that rates of requests a second show; undefined where they show none. Whole numbers, of which `asked` is the larger one. */
export function overloadOf(rates: { readonly asked: number; readonly admitted: number }): Overload | undefined {
  const { asked, admitted } = rates;
  return asked - admitted <= asked * overloadedShare ? undefined : { admits: Math.floor(admitted), asked: Math.ceil(asked) };
}

/** How operators are told. */
export function overloadWords({ admits, asked }: Overload): string {
  return `overloaded: admits ${admits} of ${asked} requests a second`;
}

/** The overload of one instance's part of a service. */
export interface InstanceOverload extends Overload {
  readonly instance: string;
  readonly namespace: string;
  readonly service: string;
}

/** The overload of a service in one cluster, with its overloaded instances in the order in which they came. */
export interface ServiceOverload extends Overload {
  readonly namespace: string;
  readonly service: string;
  readonly instances: readonly string[];
}

/** Adds up by service. Ports of one instance that say something each may lead to the same application: the worst of them counts. */
export function overloadsByService(overloads: readonly InstanceOverload[]): readonly ServiceOverload[] {
  const services = new Map<string, Map<string, InstanceOverload>>();
  for (const overload of overloads) {
    const key = `${overload.namespace}/${overload.service}`;
    const instances = services.get(key) ?? new Map<string, InstanceOverload>();
    services.set(key, instances);
    const known = instances.get(overload.instance);
    if (known === undefined || known.asked - known.admits < overload.asked - overload.admits) instances.set(overload.instance, overload);
  }
  return Array.from(services.values(), (instances) => {
    const [first] = instances.values();
    const sum = (of: (overload: Overload) => number): number => [...instances.values()].reduce((total, overload) => total + of(overload), 0);
    return { namespace: first?.namespace ?? "", service: first?.service ?? "", admits: sum(({ admits }) => admits), asked: sum(({ asked }) => asked), instances: [...instances.keys()] };
  });
}
