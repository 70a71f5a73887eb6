import { pause } from "../harness/eventually.ts";
import { call } from "../harness/http-call.ts";

/** The parts of a sidecar's /stats that are read here. */
interface SidecarStats {
  readonly services: readonly { readonly service: string; readonly places: readonly { readonly cluster: string; readonly condition: { readonly lowered: boolean; readonly reason: string } }[] }[];
}

/** Shorter than a place stays lowered. */
const pollMs = 200;

/** What to look at. */
export interface LoweredOptions {
  readonly onLowered: (sentence: string) => void;
  /** True where nothing of the service is left: who lowers such a place is right. */
  readonly isGone: (service: string, cluster: string) => boolean;
}

/** Looks at all sidecars again and again for places that become lowered. */
export class LoweredPlaces {
  readonly #ports: ReadonlyMap<string, number>;
  readonly #onLowered: (sentence: string) => void;
  readonly #isGone: (service: string, cluster: string) => boolean;
  readonly #before = new Set<string>();
  readonly #seen = new Set<string>();
  #isOver = false;
  #watching: Promise<unknown> = Promise.resolve();

  private constructor(ports: ReadonlyMap<string, number>, options: LoweredOptions) {
    this.#ports = ports;
    this.#onLowered = options.onLowered;
    this.#isGone = options.isGone;
  }

  /** What is lowered already is nobody's doing. */
  static async watch(ports: ReadonlyMap<string, number>, options: LoweredOptions): Promise<LoweredPlaces> {
    const places = new LoweredPlaces(ports, options);
    for (const [sidecar, port] of ports) for (const { place } of await places.#loweredIn(sidecar, port)) places.#before.add(place);
    places.#watching = Promise.all([...ports].map(([sidecar, port]) => places.#follow(sidecar, port)));
    return places;
  }

  /** Looks once more, and tells how many became lowered: as sidecar, service and cluster. */
  async stop(): Promise<number> {
    this.#isOver = true;
    await this.#watching;
    for (const [sidecar, port] of this.#ports) await this.#look(sidecar, port);
    return this.#seen.size;
  }

  async #follow(sidecar: string, port: number): Promise<void> {
    while (!this.#isOver) {
      await this.#look(sidecar, port);
      await pause(pollMs);
    }
  }

  async #look(sidecar: string, port: number): Promise<void> {
    for (const { place, reason } of await this.#loweredIn(sidecar, port)) {
      if (this.#before.has(place) || this.#seen.has(place)) continue;
      this.#seen.add(place);
      this.#onLowered(`  lowered: ${place}: ${reason}`);
    }
  }

  /** Nothing where there is no answer: a sidecar that stands still tells nothing, and tells it a moment later. */
  async #loweredIn(sidecar: string, port: number): Promise<readonly { readonly place: string; readonly reason: string }[]> {
    const answer = await call(port, { path: "/stats" }).catch(() => undefined);
    if (answer?.status !== 200) return [];
    const { services } = JSON.parse(answer.body) as SidecarStats;
    return services.flatMap(({ service, places }) =>
      places.filter(({ cluster, condition }) => condition.lowered && !this.#isGone(service, cluster)).map(({ cluster, condition }) => ({ place: `${sidecar} ${service} ${cluster}`, reason: condition.reason })),
    );
  }
}
