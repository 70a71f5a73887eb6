import { mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { ClusterId, RegionId, ServiceHost, SpiffeId, TrustDomainName } from "#federation/model/names.ts";
import type { ServiceView } from "#federation/model/snapshot.ts";
import { defaultTrafficPolicy } from "#federation/model/traffic-policy.ts";
import { VirtualClock } from "#federation/runtime/virtual-clock.ts";
import { silentLogger } from "#federation/telemetry/logger.ts";
import { resourceTypeUrls } from "#federation/wire/discovery-resources.ts";
import { writeAgainMs } from "#federation/runtime/kept-write.ts";
import { goodAfterMs, LastKnownGood, startsPerStep } from "./last-known-good.ts";
import { emptyHeldState, type HeldState } from "./snapshot-builder.ts";
import type { StoredState } from "./snapshot-file.ts";

let dataDir = "";
let clock = new VirtualClock();
beforeEach(() => {
  dataDir = mkdtempSync(join(tmpdir(), "atoll-lkg-"));
  clock = new VirtualClock();
});
afterEach(() => rmSync(dataDir, { recursive: true, force: true }));

const open = () => LastKnownGood.open(dataDir, { clock, logger: silentLogger });
const files = (): string[] => readdirSync(join(dataDir, "lkg")).filter((name) => name !== "starts.json").sort();

function state(revision: number): StoredState {
  const trustDomain = "shop.example" as TrustDomainName;
  const host = "catalog.web.svc.shop.example" as ServiceHost;
  const service: ServiceView = {
    ref: { namespace: "web", name: "catalog", trustDomain },
    host,
    aliases: ["catalog.web"],
    ports: [{ name: "http", port: 80, protocol: "http" }],
    serverIdentities: ["spiffe://shop.example/ns/web/sa/catalog" as SpiffeId],
    policy: defaultTrafficPolicy,
    places: [
      {
        kind: "local",
        cluster: "shop-eu" as ClusterId,
        region: "eu-west" as RegionId,
        endpoints: [{ id: "a", address: "127.0.0.1", port: 15006, locality: { region: "eu-west" as RegionId, zone: "a" }, weight: 3, readiness: "unknown" }],
      },
    ],
  };
  const held: HeldState = {
    snapshot: { ...emptyHeldState.snapshot, generation: { epoch: 2, revision }, services: new Map([[host, service]]) },
    versions: { ...emptyHeldState.versions, [resourceTypeUrls.service]: new Map([[host, `v${revision}`]]) },
  };
  return { held, asOfMs: 1_000 + revision };
}

describe("LastKnownGood", () => {
  it("gives back exactly what was saved, in a private file", async () => {
    const first = await open();
    expect(first.state).toBeUndefined();
    await first.store.save(state(1));
    await first.store.close();
    expect(statSync(join(dataDir, "lkg", files()[0] ?? "")).mode & 0o777).toBe(0o600);
    expect((await open()).state).toEqual(state(1));
  });

  it("calls a generation good after a minute of serving, and keeps three of those", async () => {
    const { store } = await open();
    for (let revision = 1; revision <= 5; revision++) {
      await store.save(state(revision));
      expect(files().some((name) => name.endsWith(".new"))).toBe(true);
      await clock.advance(goodAfterMs);
      await store.save(state(revision));
      await clock.advance(goodAfterMs);
    }
    await store.close();
    expect(files().filter((name) => name.endsWith(".good"))).toHaveLength(3);
    expect((await open()).state).toEqual(state(5));
  });

  it("proves a generation even while newer ones keep coming, with bounded files", async () => {
    const { store } = await open();
    for (let round = 0; round < 130; round++) {
      await store.save(state(round));
      await clock.advance(1_000);
    }
    await store.close();
    expect(files().filter((name) => name.endsWith(".good")).length).toBeGreaterThanOrEqual(1);
    expect(files().length).toBeLessThanOrEqual(5);
  });

  it("moves a damaged file aside and uses the one before", async () => {
    const { store } = await open();
    await store.save(state(1));
    await store.save(state(2));
    await store.close();
    const newest = files().at(-1) ?? "";
    writeFileSync(join(dataDir, "lkg", newest), "not what was written");
    expect((await open()).state).toEqual(state(1));
    expect(files().some((name) => name.startsWith(`${newest}.corrupt-`))).toBe(true);
  });

  it("steps back a generation when starts keep dying early, and forgets that after a minute of serving", async () => {
    const { store } = await open();
    await store.save(state(1));
    await clock.advance(goodAfterMs);
    await store.save(state(2));
    await store.close();
    for (let crash = 0; crash < startsPerStep; crash++) expect((await open()).state).toEqual(state(2));
    const lasting = await open();
    expect(lasting.state).toEqual(state(1));
    await clock.advance(goodAfterMs);
    await lasting.store.flush();
    expect((await open()).state).toEqual(state(2));
  });

  it("opens on a disk that takes nothing, and writes what was saved meanwhile when it takes something", async () => {
    const { store } = await open();
    await store.save(state(1));
    await store.close();
    const folder = join(dataDir, "lkg");
    rmSync(join(folder, "starts.json"));
    mkdirSync(join(folder, "starts.json", "in-the-way"), { recursive: true });
    const again = await open();
    expect(again.state).toEqual(state(1));
    renameSync(folder, `${folder}-aside`);
    writeFileSync(folder, "in the way");
    await again.store.save(state(2));
    expect(again.store.failure).toMatch(/EEXIST|ENOTDIR/);
    rmSync(folder);
    renameSync(`${folder}-aside`, folder);
    await clock.advance(writeAgainMs);
    await again.store.flush();
    expect(again.store.failure).toBeUndefined();
    expect((await open()).state).toEqual(state(2));
  });

  it("serves a lone candidate however often the start failed", async () => {
    const { store } = await open();
    await store.save(state(1));
    for (let crash = 0; crash < startsPerStep * 3; crash++) await open();
    expect((await open()).state).toEqual(state(1));
  });
});
