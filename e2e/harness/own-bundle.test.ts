import { readFileSync } from "node:fs";
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from "vitest";
import { clusterRoutes } from "#federation/admin-api/plane-routes.ts";
import { createRoot } from "#federation/identity/authority.ts";
import { encodeBundle, parseBundle } from "#federation/identity/bundle-jwks.ts";
import { createKeyPair, parseKeyPair } from "#federation/identity/key-pair.ts";
import { trustDomainSigningInput } from "#federation/model/signing-input.ts";
import { systemClock } from "#federation/runtime/clock.ts";
import { signP256 } from "#federation/runtime/p256-signature.ts";
import { TrustDomainSigner } from "#services/cluster/credentials/signer.ts";
import { eventually } from "./eventually.ts";
import type { InProcessPlanes, RunningPlane } from "./in-process-planes.ts";
import { openTwoShops } from "./shop-planes-fixture.ts";
import { applyAll, exported, shop } from "./shop-resources.ts";

const { signal } = new AbortController();

describe("a trust domain that has another root, over planes in one process", () => {
  let planes: InProcessPlanes;
  let signing: RunningPlane;
  let other: RunningPlane;

  const sequenceAt = async (cluster: string): Promise<number | undefined> => {
    const { items } = (await planes.at(cluster, (admin) => admin.call(clusterRoutes.bundles, {}, signal))).body;
    return items.find(({ trustDomain }) => trustDomain === shop)?.sequence;
  };
  const status = async () => await planes.atoll(planes.writePlaneFile(["shop-eu", "shop-us"], { [shop]: "shop-eu" }), "trust", "status", shop);
  const bundleOnDisk = (cluster: string) => parseBundle(readFileSync(planes.fileOf(cluster, "ca", "bundle.json"), "utf8"), shop);

  /** Has the signer's plane say, from its next start on, that there is a root more, under `sequence`. */
  const announce = (sequence: number, key = parseKeyPair(readFileSync(planes.fileOf("shop-eu", "signer", "authority.key"), "utf8")).privateKey): readonly Uint8Array[] => {
    const held = bundleOnDisk("shop-eu");
    const roots = [...held.x509Authorities, createRoot({ trustDomain: shop, validityMs: 3_600_000, nowMs: systemClock.nowMs() }).certificateDer];
    const bundle = encodeBundle({ ...held, sequence, x509Authorities: roots });
    vi.spyOn(TrustDomainSigner.prototype, "statement").mockReturnValue({
      authorityCertificatePem: readFileSync(planes.fileOf("shop-eu", "signer", "authority.pem"), "utf8"),
      bundle,
      bundleSignature: Buffer.from(signP256(trustDomainSigningInput(shop, bundle), key)).toString("base64url"),
    });
    return roots;
  };

  beforeAll(async () => {
    ({ planes, signing, other } = await openTwoShops());
  }, 90_000);
  afterEach(() => vi.restoreAllMocks());
  afterAll(async () => {
    await planes[Symbol.asyncDispose]();
  }, 30_000);

  it("has it at each of its clusters, those that were away included, and over restarts", async () => {
    await other.stop();
    await signing.stop();
    const roots = announce(2).map((der) => Buffer.from(der));
    signing = await planes.startCluster("shop-eu", { signer: shop });
    await eventually("the signer's own cluster goes by it", async () => (await sequenceAt("shop-eu")) === 2);
    const away = await status();
    expect(away.code).toBe(1);
    expect(away.out).toMatch(/^shop\.example +shop-eu +2 +2 +has the newest$/m);
    expect(away.out).toMatch(/^shop\.example +shop-us +– +– +its plane does not answer: /m);
    expect(bundleOnDisk("shop-us").sequence).toBe(1);
    other = await planes.startCluster("shop-us", { enrolsAt: "shop-eu" });
    await eventually("so does the one that was away", async () => (await sequenceAt("shop-us")) === 2);
    expect(bundleOnDisk("shop-us").x509Authorities).toEqual(roots);
    expect(await status()).toMatchObject({ code: 0, out: expect.stringMatching(/^shop\.example +shop-us +2 +2 +has the newest$/m) as string });
    await other.stop();
    other = await planes.startCluster("shop-us", { enrolsAt: "shop-eu" });
    expect(await sequenceAt("shop-us")).toBe(2);
  }, 90_000);

  it("has it nowhere when its authority has not signed it", async () => {
    const before = bundleOnDisk("shop-us");
    await signing.stop();
    announce(3, createKeyPair().privateKey);
    signing = await planes.startCluster("shop-eu", { signer: shop });
    await planes.at("shop-eu", (admin) => applyAll(admin, exported("later")));
    await eventually("what the plane says after it has come", async () => (await planes.at("shop-us", (admin) => admin.list("ServiceImport", {}, signal))).length === 1);
    for (const cluster of ["shop-eu", "shop-us"]) expect(await sequenceAt(cluster)).toBe(before.sequence);
    expect(bundleOnDisk("shop-us")).toEqual(before);
  }, 90_000);
});
