import { generateKeyPairSync } from "node:crypto";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { Catalog, objectId } from "#federation/catalog/catalog.ts";
import type { ClusterId, RegionId, SpiffeId, TrustDomainName } from "#federation/model/names.ts";
import { encodeExportedService } from "#federation/model/parse/parse-resource.ts";
import { apiVersion, type Cluster } from "#federation/model/resource.ts";
import { recordOf } from "#federation/replication/shell/catalog-replica-store.ts";
import { systemClock } from "#federation/runtime/clock.ts";
import type { Task } from "#federation/runtime/lifecycle.ts";
import { VirtualClock } from "#federation/runtime/virtual-clock.ts";
import { openSqliteStore, type SqliteStore } from "#federation/store/sqlite-store.ts";
import { silentLogger } from "#federation/telemetry/logger.ts";
import { signObject, type ObjectSigner } from "#federation/wire/signed-object.ts";
import { FederationState } from "./federation-state.ts";
import { recordedDeletions } from "../store/recorded-deletions.ts";
import { GlobalObjects } from "./global-objects.ts";

const shop = "shop.example" as TrustDomainName;
const cluster = (name: string, exportNamespaces: readonly string[] = ["web"]): Cluster => ({
  apiVersion,
  kind: "Cluster",
  metadata: { name },
  spec: { region: "eu-west" as RegionId, trustDomain: shop, exportNamespaces, gateways: [] },
});
function newSigner(): ObjectSigner {
  const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  return { privateKey, chain: [new Uint8Array(publicKey.export({ type: "spki", format: "der" }))] };
}

describe("FederationState", () => {
  const clock = new VirtualClock();
  let store: SqliteStore;
  let catalog: Catalog;
  let signer: ObjectSigner;
  let stop: AbortController;
  let running: Promise<void>;
  let held: (() => void)[];

  const settled = async (): Promise<void> => {
    for (let turn = 0; turn < 10; turn++) await clock.advance(0);
  };
  /** The last `late` views begin only when they are let go. */
  function start(late = 0): FederationState {
    let views = 0;
    const follow = (task: Task): Task => {
      const isLate = views++ >= 7 - late;
      return async (signal) => {
        if (isLate) await new Promise<void>((resolve) => held.push(resolve));
        await task(signal);
      };
    };
    const own = new GlobalObjects({ federation: "demo.atoll", epoch: 1, signer: () => signer });
    const state = new FederationState({ catalog, own, clock, logger: silentLogger, follow });
    running = state.run(stop.signal);
    return state;
  }
  const bring = async (from: string, namespace: string, value?: Uint8Array): Promise<void> => {
    const encoded = encodeExportedService({
      namespace,
      name: "a",
      trustDomain: shop,
      cluster: from as ClusterId,
      region: "eu-west" as RegionId,
      ports: [{ name: "http", port: 80, protocol: "http" }],
      serverIdentities: [`spiffe://shop.example/ns/${namespace}/sa/a` as SpiffeId],
      gateways: [],
      endpointsReady: 1,
      endpointsTotal: 1,
      asOfMs: 1,
    });
    const header = { federation: "demo.atoll", origin: from, originTrustDomain: shop, kind: "ServiceExport", key: `${namespace}/a`, generation: { epoch: 1, revision: 1 }, audience: ["*"], tombstone: false };
    const record = recordOf(signObject({ ...header, value: value ?? encoded }, newSigner()), 1);
    await catalog.objects.put(objectId(record), record, {}, stop.signal);
  };
  const published = (state: FederationState): readonly string[] => [...state.publication.current.objects.keys()].toSorted();

  beforeEach(async () => {
    store = await openSqliteStore({ path: ":memory:", clock: systemClock, logger: silentLogger });
    catalog = new Catalog({ store, clock, onFault: ({ error }) => { throw error; } });
    signer = newSigner();
    stop = new AbortController();
    held = [];
    await catalog.resources("Cluster").apply(cluster("shop-eu"), {}, stop.signal);
  });
  afterEach(async () => {
    stop.abort();
    for (const release of held) release();
    await running;
    await store[Symbol.asyncDispose]();
  });

  it("publishes nothing while any part of the store is still to be read", async () => {
    await bring("shop-eu", "web");
    const state = start(1);
    await settled();
    expect(state.ready.current).toBe(false);
    expect(published(state)).toEqual([]);
    for (const release of held) release();
    await settled();
    expect(state.ready.current).toBe(true);
    expect(published(state)).toEqual(["global/Cluster/shop-eu", "shop-eu/ServiceExport/web/a"]);
    expect(state.exports).toMatchObject([{ cluster: "shop-eu", name: "a" }]);
  });

  it("passes on only what its cluster may say, now", async () => {
    await bring("shop-eu", "web");
    await bring("shop-eu", "core");
    await bring("unknown", "web");
    await bring("shop-eu", "broken", Buffer.from("{"));
    const state = start();
    await settled();
    expect(published(state)).toEqual(["global/Cluster/shop-eu", "shop-eu/ServiceExport/web/a"]);
    expect(state.objectsOf("shop-eu").count).toBe(1);
    await catalog.resources("Cluster").apply(cluster("shop-eu", ["core"]), {}, stop.signal);
    await settled();
    expect(published(state)).toEqual(["global/Cluster/shop-eu", "shop-eu/ServiceExport/core/a"]);
    await catalog.resources("Cluster").remove("shop-eu", {}, stop.signal);
    await settled();
    expect(published(state)).toEqual([]);
  });

  it("is after any changes what one that has just read the store is", async () => {
    const state = start();
    await settled();
    await bring("shop-eu", "web");
    await settled();
    await catalog.resources("Cluster").apply(cluster("shop-us", ["web"]), {}, stop.signal);
    await bring("shop-us", "web");
    await settled();
    await bring("shop-us", "web", Buffer.from("{"));
    await bring("shop-eu", "core");
    await settled();
    await catalog.resources("Cluster").apply(cluster("shop-eu", ["core"]), {}, stop.signal);
    await catalog.objects.remove("shop-eu/ServiceExport/web/a", {}, stop.signal);
    await settled();
    const counts = (of: FederationState): readonly number[] => ["shop-eu", "shop-us"].map((origin) => of.objectsOf(origin).count);
    const before = [published(state), counts(state), state.exports];
    expect(before.slice(0, 2)).toEqual([["global/Cluster/shop-eu", "global/Cluster/shop-us", "shop-eu/ServiceExport/core/a"], [1, 0]]);
    stop.abort();
    await running;
    stop = new AbortController();
    const again = start();
    await settled();
    expect([published(again), counts(again), again.exports]).toEqual(before);
  });

  it("signs that a resource is deleted, at the place of its deletion, until it is there again, and also after a restart", async () => {
    const regions = recordedDeletions("Region", catalog, clock);
    const region = { apiVersion, kind: "Region", metadata: { name: "eu-west" }, spec: {} } as const;
    await regions.apply(region, {}, stop.signal);
    const state = start();
    await settled();
    const object = () => state.publication.current.objects.get("global/Region/eu-west");
    const written = object()?.payload.generation.revision ?? 0;
    expect(await regions.remove("eu-west", {}, stop.signal)).toBe(true);
    await settled();
    expect(object()?.payload).toMatchObject({ tombstone: true, audience: ["*"], value: new Uint8Array(), generation: { epoch: 1, revision: written + 1 } });
    expect(state.publication.current.revision).toBeGreaterThan(written);
    const signed = object();
    state.publish();
    expect(object()).toBe(signed);
    await regions.apply(region, {}, stop.signal);
    await settled();
    expect(object()?.payload).toMatchObject({ tombstone: false, generation: { revision: written + 2 } });
    expect(await regions.remove("eu-west", { ifRevision: written + 2 }, stop.signal)).toBe(true);
    stop.abort();
    await running;
    stop = new AbortController();
    const again = start();
    await settled();
    expect(again.publication.current.objects.get("global/Region/eu-west")?.payload).toMatchObject({ tombstone: true, generation: { revision: written + 3 } });
  });

  it("signs its own objects once for each revision, and again at the same place under a new key", async () => {
    const state = start();
    await settled();
    const object = () => state.publication.current.objects.get("global/Cluster/shop-eu");
    const first = object();
    await catalog.resources("Region").apply({ apiVersion, kind: "Region", metadata: { name: "eu-west" }, spec: {} }, {}, stop.signal);
    await settled();
    expect(object()).toBe(first);
    signer = newSigner();
    state.publish();
    expect(object()?.signed.chain).toEqual(signer.chain);
    expect(object()?.payload.generation).toEqual(first?.payload.generation);
  });
});
