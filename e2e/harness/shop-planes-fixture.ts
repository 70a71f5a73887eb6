import { InProcessPlanes, type RunningPlane } from "./in-process-planes.ts";
import { applyAll, euWest, exported, shop, shopCluster } from "./shop-resources.ts";

const { signal } = new AbortController();

/** The planes of a federation of the one cluster shop-eu, which exports web/catalog, in one process. */
export class ShopPlanes implements AsyncDisposable {
  readonly planes: InProcessPlanes;
  readonly #running: Readonly<Record<"global" | "shop-eu", RunningPlane>>;

  private constructor(planes: InProcessPlanes, running: Readonly<Record<"global" | "shop-eu", RunningPlane>>) {
    this.planes = planes;
    this.#running = running;
  }

  static async open(): Promise<ShopPlanes> {
    const planes = await InProcessPlanes.create();
    const global = await planes.startGlobal();
    await planes.at(undefined, (admin) => applyAll(admin, [euWest, shopCluster("shop-eu")]));
    const cluster = await planes.startCluster("shop-eu", { signer: shop });
    await planes.at("shop-eu", (admin) => applyAll(admin, exported("catalog")));
    return new ShopPlanes(planes, { global, "shop-eu": cluster });
  }

  /** The names of the services that the cluster's plane shows. */
  async services(): Promise<readonly string[]> {
    return (await this.planes.at("shop-eu", (admin) => admin.list("Service", {}, signal))).map(({ metadata }) => metadata.name);
  }

  /** What `atoll check` prints. */
  async check(): Promise<string> {
    const { out, err } = await this.planes.atoll(this.planes.writePlaneFile(["shop-eu"], { [shop]: "shop-eu" }), "check");
    return `${out}${err}`;
  }

  /** A page of metrics. */
  async metrics(plane: "global" | "shop-eu"): Promise<string> {
    return await this.#running[plane].metrics();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.planes[Symbol.asyncDispose]();
  }
}

/** Of a federation of the clusters shop-eu, which holds the trust domain's keys, and shop-us, in one process. */
export async function openTwoShops(): Promise<{ readonly planes: InProcessPlanes; readonly signing: RunningPlane; readonly other: RunningPlane }> {
  const planes = await InProcessPlanes.create();
  await planes.startGlobal();
  await planes.at(undefined, (admin) => applyAll(admin, [euWest, shopCluster("shop-eu"), shopCluster("shop-us")]));
  const signing = await planes.startCluster("shop-eu", { signer: shop });
  return { planes, signing, other: await planes.startCluster("shop-us", { enrolsAt: "shop-eu" }) };
}
