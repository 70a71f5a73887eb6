import { systemClock } from "#federation/runtime/clock.ts";
import { until } from "#federation/runtime/watched.ts";
import { serviceHost } from "#federation/model/service.ts";
import { TestFederation } from "../../../harness/test-federation.ts";
import { TestProxy } from "../../../harness/test-proxy.ts";
import { readTreeUsage } from "../../process-usage.ts";
import { benchTrustDomain, exportResource, serviceName, serviceResource } from "../bench-resources.ts";
import { BareHop } from "./bare-hop.ts";
import { exporter, importer, livePlan } from "./live-plan.ts";

/** Services that are declared at a time while the mesh is filled. */
const fillTogether = 16;
const firstPort = 1_000;

/** How a change went. */
export interface ChangeTimes {
  /** Until the exporter's plane had answered, ms. */
  readonly wroteMs: number;
  /** Until a proxy of the other region had been told, ms. */
  readonly arrivedMs: number;
}

/** A federation on real processes and engines, one cluster's plane that is written to, and a proxy of another that is watched. */
export class LiveMesh implements AsyncDisposable {
  readonly hop: BareHop;
  readonly services: number;
  readonly #federation: TestFederation;
  readonly #proxy: TestProxy;
  readonly #ports: number[];
  /** Of services that were changed, who waits for which port of theirs to be known. */
  readonly #waiting = new Map<number, { readonly port: number; readonly arrived: (atMs: number) => void }[]>();

  private constructor(parts: { readonly federation: TestFederation; readonly proxy: TestProxy; readonly hop: BareHop; readonly services: number }) {
    this.#federation = parts.federation;
    this.#proxy = parts.proxy;
    this.hop = parts.hop;
    this.services = parts.services;
    this.#ports = Array.from({ length: parts.services }, () => firstPort);
  }

  static async start(services: number, signal: AbortSignal): Promise<LiveMesh> {
    await using cleanUp = new AsyncDisposableStack();
    const federation = cleanUp.use(await TestFederation.start(livePlan, { engines: true }));
    const proxy = cleanUp.use(await TestProxy.join(await federation.workloadToken(importer, "web", "bench")));
    const hop = cleanUp.use(await BareHop.open(federation.place.dataDir, signal));
    const mesh = new LiveMesh({ federation, proxy, hop, services });
    await mesh.#fill(signal);
    void mesh.#follow(signal);
    cleanUp.move();
    return mesh;
  }

  /** Gives the service `index` another port; resolves when the watched proxy knows it or a later one. @throws AtollError when the plane refuses it */
  async change(index: number, signal: AbortSignal): Promise<ChangeTimes> {
    const port = (this.#ports[index] ?? firstPort) + 1;
    this.#ports[index] = port;
    const startMs = systemClock.monotonicMs();
    const arrival = new Promise<number>((resolve) => {
      const waiting = this.#waiting.get(index) ?? [];
      waiting.push({ port, arrived: resolve });
      this.#waiting.set(index, waiting);
    });
    try {
      await this.#federation.planes.cluster(exporter).apply(serviceResource(index, port), {}, signal);
    } catch (error) {
      this.#waiting.set(index, (this.#waiting.get(index) ?? []).filter((waiting) => waiting.port !== port));
      throw error;
    }
    const wroteMs = systemClock.monotonicMs() - startMs;
    return { wroteMs, arrivedMs: (await arrival) - startMs };
  }

  /** What each of the federation's processes has used of a processor so far, the bench itself among them, microseconds. */
  async cpuMicros(): Promise<ReadonlyMap<string, number>> {
    const views = await this.#federation.list();
    const named = views.flatMap(({ name, pid }) => (pid === undefined ? [] : [[name, readTreeUsage(pid).cpuMicros] as const]));
    const { user, system } = process.cpuUsage();
    return new Map([...named, ["bench", user + system]]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.hop[Symbol.asyncDispose]();
    await this.#proxy[Symbol.asyncDispose]();
    await this.#federation[Symbol.asyncDispose]();
  }

  async #fill(signal: AbortSignal): Promise<void> {
    const plane = this.#federation.planes.cluster(exporter);
    for (let start = 0; start < this.services; start += fillTogether) {
      const indexes = Array.from({ length: Math.min(fillTogether, this.services - start) }, (_, at) => start + at);
      await Promise.all(indexes.flatMap((index) => [plane.apply(serviceResource(index, firstPort), {}, signal), plane.apply(exportResource(index), {}, signal)]));
    }
    await until(this.#proxy.builder.snapshot, ({ services }) => services.size >= this.services, signal);
  }

  async #follow(signal: AbortSignal): Promise<void> {
    for await (const { services } of this.#proxy.builder.snapshot.changes(signal)) {
      const nowMs = systemClock.monotonicMs();
      for (const [index, waiting] of this.#waiting) {
        const known = services.get(hostOf(index))?.ports[0]?.port ?? 0;
        const left = waiting.filter(({ port }) => port > known);
        if (left.length === waiting.length) continue;
        for (const { port, arrived } of waiting) if (port <= known) arrived(nowMs);
        if (left.length === 0) this.#waiting.delete(index);
        else this.#waiting.set(index, left);
      }
    }
  }
}

function hostOf(index: number) {
  return serviceHost({ name: serviceName(index), namespace: "web", trustDomain: benchTrustDomain });
}
