import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { publicKeyFromCsr } from "#federation/identity/csr.ts";
import { createKeyPair, exportPrivateKeyPem, spkiSha256 } from "#federation/identity/key-pair.ts";
import type { TrustDomainName } from "#federation/model/names.ts";
import { systemClock } from "#federation/runtime/clock.ts";
import { AtollError } from "#federation/runtime/errors.ts";
import { createSeededRandom } from "#federation/runtime/random.ts";
import { VirtualClock } from "#federation/runtime/virtual-clock.ts";
import { silentLogger } from "#federation/telemetry/logger.ts";
import { ClusterKeySource, type Certify } from "./cluster-credentials.ts";
import { issuerOf, objectSignerOf } from "./key-roles.ts";
import { TrustDomainSigner } from "./signer.ts";

const dayMs = 86_400_000;
const shop = "shop.example" as TrustDomainName;

describe("ClusterKeySource", () => {
  let directory: string;
  let clock: VirtualClock;
  let signer: TrustDomainSigner;
  let stop: AbortController;
  let calls: { readonly atDays: number; readonly isRenewal: boolean }[];
  let failures: number;
  let isSignerAway: boolean;
  let enrolledKeys: string[];

  const certify: Certify = async ({ intermediate, signing }, current) => {
    if (isSignerAway && current === undefined) enrolledKeys.push(spkiSha256(publicKeyFromCsr(intermediate)));
    if (isSignerAway) throw new AtollError("ATOLL_PEER_UNAVAILABLE", "the signer is away");
    if (current === undefined) enrolledKeys.push(spkiSha256(publicKeyFromCsr(intermediate)));
    calls.push({ atDays: clock.monotonicMs() / dayMs, isRenewal: current !== undefined });
    return signer.certify("shop-us", intermediate, signing, clock.nowMs());
  };
  const open = (joiningKey: "until enrolled" | "lasting" = "until enrolled"): Promise<ClusterKeySource> =>
    ClusterKeySource.open(
      { joiningKey, dataDir: directory, trustDomain: shop, certify, svidMs: 3_600_000, clock, random: createSeededRandom(1), logger: silentLogger, onFailure: () => void failures++ },
      stop.signal,
    );
  const leftDays = (source: ClusterKeySource): number => ((source.keys.current.issuer?.notAfterMs ?? 0) - clock.nowMs()) / dayMs;

  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), "atoll-keys-"));
    clock = new VirtualClock();
    signer = TrustDomainSigner.open(shop, join(directory, "signer-plane"), clock.nowMs());
    stop = new AbortController();
    calls = [];
    failures = 0;
    isSignerAway = false;
    enrolledKeys = [];
  });
  afterEach(() => {
    stop.abort();
    rmSync(directory, { recursive: true, force: true });
  });

  it.each(["authority.pem", "bundle.json", "intermediate.pem", "intermediate.key"])("has its credentials again by its signing key when %s is damaged, or gone", async (file) => {
    const first = await open();
    for (const damage of [(path: string) => writeFileSync(path, Buffer.alloc(400)), (path: string) => rmSync(path)]) {
      damage(join(directory, "ca", file));
      const again = await open();
      expect(again.keys.current.authorityCertificatePem).toBe(first.keys.current.authorityCertificatePem);
      expect(again.keys.current.bundle).toEqual(first.keys.current.bundle);
    }
    expect(calls.map(({ isRenewal }) => isRenewal)).toEqual([false, true, true]);
  });

  it.each(["signing.pem", "signing.key"])("enrols again when %s is damaged, or gone, since nothing else proves who it is", async (file) => {
    await open();
    for (const damage of [(path: string) => writeFileSync(path, Buffer.alloc(400)), (path: string) => rmSync(path)]) {
      damage(join(directory, "ca", file));
      await open();
    }
    expect(calls.map(({ isRenewal }) => isRenewal)).toEqual([false, false, false]);
  });

  it.each([
    ["signing", "signing.pem"],
    ["signing", "signing.key"],
    ["issuing", "intermediate.pem"],
    ["issuing", "intermediate.key"],
  ] as const)("begins with its role %s closed when %s is damaged, or gone, and the signer gives no other, until the file is put back", async (role, file) => {
    const first = (await open()).keys.current;
    const path = join(directory, "ca", file);
    const copy = readFileSync(path);
    isSignerAway = true;
    for (const damage of [() => writeFileSync(path, Buffer.alloc(400)), () => rmSync(path)]) {
      damage();
      const source = await open();
      const { closed, issuer, signer: kept, bundle } = source.keys.current;
      expect(closed).toEqual([{ role, reason: expect.stringContaining(file) }]);
      expect([issuer === undefined, kept === undefined, bundle]).toEqual([role === "issuing", role === "signing", first.bundle]);
      expect(() => (role === "issuing" ? issuerOf : objectSignerOf)(source.keys.current)).toThrow(expect.objectContaining({ code: "ATOLL_ROLE_CLOSED", message: expect.stringContaining(file) }));
      const ended = new AbortController();
      const running = source.run(ended.signal).catch(() => undefined);
      writeFileSync(path, copy);
      await clock.advance(35_000);
      expect(source.keys.current).toMatchObject({ closed: [], signer: { chain: first.signer?.chain }, issuer: { chain: first.issuer?.chain } });
      ended.abort();
      await running;
    }
    expect(calls).toHaveLength(1);
  });

  it("asks again while a role is closed, and takes what a new token gives", async () => {
    await open();
    rmSync(join(directory, "ca", "signing.key"));
    let isRefused = true;
    const refusing: Certify = async (...asked) => {
      if (isRefused) throw new AtollError("ATOLL_JOIN_TOKEN_REFUSED", "used");
      return await certify(...asked);
    };
    const source = await ClusterKeySource.open({ dataDir: directory, trustDomain: shop, certify: refusing, svidMs: 3_600_000, clock, random: createSeededRandom(1), logger: silentLogger, onFailure: () => void failures++ }, stop.signal);
    // Its counter may need what is made after it.
    expect(failures).toBe(0);
    const running = source.run(stop.signal).catch(() => undefined);
    await clock.advance(100_000);
    expect([source.keys.current.closed.map(({ role }) => role), failures]).toEqual([["signing"], 3]);
    isRefused = false;
    await clock.advance(35_000);
    expect(source.keys.current.closed).toEqual([]);
    // And goes on renewing.
    await clock.advance(8 * dayMs);
    expect(leftDays(source)).toBeGreaterThan(12);
    stop.abort();
    await running;
  });

  it("begins after its intermediate has ended, while the signer is away", async () => {
    await open();
    isSignerAway = true;
    await clock.advance(15 * dayMs);
    expect((await open()).keys.current).toMatchObject({ issuer: undefined, closed: [{ role: "issuing", reason: expect.stringContaining("has ended on") }] });
  });

  it("does not use a key beside another one's certificate", async () => {
    const first = await open();
    const key = exportPrivateKeyPem(createKeyPair().privateKey);
    writeFileSync(join(directory, "ca", "intermediate.key"), key);
    const again = await open();
    expect(again.keys.current.issuer?.notAfterMs).toBe(first.keys.current.issuer?.notAfterMs);
    expect(calls.map(({ isRenewal }) => isRenewal)).toEqual([false, true]);
  });

  it("enrols once and reads its keys from disk after that", async () => {
    const first = await open();
    const again = await open();
    expect(calls).toEqual([{ atDays: 0, isRenewal: false }]);
    expect(again.keys.current.signer?.chain).toEqual(first.keys.current.signer?.chain);
    expect(leftDays(again)).toBeCloseTo(14, 3);
  });

  it("enrols with one key over all tries, and with another when it has to enrol again", async () => {
    isSignerAway = true;
    const opened: ClusterKeySource[] = [];
    const opening = open().then((source) => opened.push(source));
    // Keys are read from a real disk, between which virtual time moves on.
    for (let turn = 0; turn < 5_000 && opened.length === 0; turn++) {
      isSignerAway = enrolledKeys.length < 3;
      await clock.advance(1_000);
      await new Promise<void>((resolve) => void systemClock.schedule(1, resolve));
    }
    await opening;
    expect(enrolledKeys.length).toBeGreaterThan(3);
    expect(new Set(enrolledKeys).size).toBe(1);
    // Long after the signing key has expired, nothing proves a renewal any more.
    await clock.advance(60 * dayMs);
    await open();
    expect(calls.map(({ isRenewal }) => isRenewal)).toEqual([false, false]);
    expect(new Set(enrolledKeys).size).toBe(2);
  });

  it("stays the same instance to what attests it, also after its keys have expired", async () => {
    await open("lasting");
    await clock.advance(60 * dayMs);
    await open("lasting");
    expect(enrolledKeys).toHaveLength(2);
    expect(new Set(enrolledKeys).size).toBe(1);
  });

  it("renews at half of the intermediate's life, proving itself by the key it has", async () => {
    const source = await open();
    const running = source.run(stop.signal);
    await clock.advance(6.5 * dayMs);
    expect(calls).toHaveLength(1);
    await clock.advance(1.5 * dayMs);
    expect(calls).toHaveLength(2);
    expect(calls[1]?.isRenewal).toBe(true);
    expect(leftDays(source)).toBeGreaterThan(12);
    stop.abort();
    await expect(running).rejects.toMatchObject({ code: "ATOLL_ABORTED" });
  });

  it("asks a bounded number of times where the root's end cuts the intermediate short", async () => {
    const rootLifeDays = 3_650;
    signer = TrustDomainSigner.open(shop, join(directory, "old-signer-plane"), clock.nowMs() - (rootLifeDays - 10) * dayMs);
    const source = await open();
    const running = source.run(stop.signal);
    await clock.advance(10 * dayMs - 3_600_000);
    expect(leftDays(source)).toBeCloseTo(1 / 24, 1);
    expect(calls.length).toBeGreaterThan(3);
    expect(calls.length).toBeLessThan(15);
    stop.abort();
    await expect(running).rejects.toMatchObject({ code: "ATOLL_ABORTED" });
  });

  it("goes on with the keys that it has while the signer is away for a week, counting the failures, and renews when it is back", async () => {
    const source = await open();
    const running = source.run(stop.signal).catch(() => undefined);
    isSignerAway = true;
    await clock.advance(8 * dayMs);
    expect(failures).toBeGreaterThan(1);
    expect(leftDays(source)).toBeGreaterThan(5);
    isSignerAway = false;
    await clock.advance(120_000);
    expect(leftDays(source)).toBeGreaterThan(13);
    stop.abort();
    await running;
  });

  it("waits for a signer that cannot be reached yet, and not for one that refuses", async () => {
    isSignerAway = true;
    let opened: ClusterKeySource | undefined;
    const opening = open().then((source) => (opened = source));
    await clock.advance(10_000);
    expect(opened).toBeUndefined();
    isSignerAway = false;
    await clock.advance(10_000);
    await opening;
    expect(opened).toBeDefined();

    const refusing: Certify = () => Promise.reject(new AtollError("ATOLL_JOIN_TOKEN_REFUSED", "no"));
    const other = join(directory, "other");
    await expect(
      ClusterKeySource.open({ dataDir: other, trustDomain: shop, certify: refusing, svidMs: 3_600_000, clock, random: createSeededRandom(1), logger: silentLogger }, stop.signal),
    ).rejects.toMatchObject({ code: "ATOLL_JOIN_TOKEN_REFUSED" });
  });
});
