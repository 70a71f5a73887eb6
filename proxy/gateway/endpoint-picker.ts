import type { EndpointView } from "#federation/model/snapshot.ts";
import type { Random } from "#federation/runtime/random.ts";

/**
 * Chooses endpoints by two draws and the fewer active connections for their weight. Endpoints are known by address
 * and port, so that a new snapshot keeps the counts. Ready ones only, or, when there is none, unknown ones: unknown
 * is not down. Not-ready ones never, since their own cluster says so.
 */
export class EndpointPicker {
  readonly #random: Random;
  readonly #active = new Map<string, number>();

  constructor(random: Random) {
    this.#random = random;
  }

  /** An endpoint other than `avoid` where there is one; undefined when none may be used. */
  pick(endpoints: readonly EndpointView[], avoid?: EndpointView): EndpointView | undefined {
    const ready = endpoints.filter((endpoint) => endpoint.readiness === "ready");
    const usable = ready.length > 0 ? ready : endpoints.filter((endpoint) => endpoint.readiness === "unknown");
    const fresh = avoid === undefined ? usable : usable.filter((endpoint) => keyOf(endpoint) !== keyOf(avoid));
    const candidates = fresh.length > 0 ? fresh : usable;
    const first = candidates[Math.floor(this.#random.next() * candidates.length)];
    if (first === undefined || candidates.length === 1) return first;
    const others = candidates.filter((endpoint) => endpoint !== first);
    const second = others[Math.floor(this.#random.next() * others.length)] ?? first;
    return this.#load(second) < this.#load(first) ? second : first;
  }

  /** A connection to `endpoint` begins; disposing says that it is over. */
  hold(endpoint: EndpointView): Disposable {
    const key = keyOf(endpoint);
    this.#active.set(key, (this.#active.get(key) ?? 0) + 1);
    let held = true;
    return {
      [Symbol.dispose]: () => {
        if (!held) return;
        held = false;
        const left = (this.#active.get(key) ?? 1) - 1;
        if (left === 0) this.#active.delete(key);
        else this.#active.set(key, left);
      },
    };
  }

  #load(endpoint: EndpointView): number {
    return ((this.#active.get(keyOf(endpoint)) ?? 0) + 1) / Math.max(1, endpoint.weight);
  }
}

function keyOf(endpoint: EndpointView): string {
  return `${endpoint.address}|${endpoint.port}`;
}
