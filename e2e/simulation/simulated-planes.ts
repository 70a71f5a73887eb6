import { globalName } from "./cast.ts";
import type { SimulatedCluster, SimulatedGlobal } from "./planes.ts";
import type { SimulatedPlane } from "./simulated-plane.ts";

/** The planes of a federation. */
export class SimulatedPlanes {
  readonly global: SimulatedGlobal;
  readonly clusters: readonly SimulatedCluster[];

  constructor(global: SimulatedGlobal, clusters: readonly SimulatedCluster[]) {
    this.global = global;
    this.clusters = clusters;
  }

  get all(): readonly SimulatedPlane[] {
    return [this.global.plane, ...this.clusters.map(({ plane }) => plane)];
  }

  /** Those that hear what `name` says of itself. */
  hearersOf(name: string): readonly SimulatedPlane[] {
    return name === globalName ? this.clusters.map(({ plane }) => plane) : [this.global.plane];
  }

  of(name: string): SimulatedPlane {
    const plane = this.all.find((one) => one.name === name);
    if (plane === undefined) throw new Error(`there is no plane ${name}`);
    return plane;
  }
}
