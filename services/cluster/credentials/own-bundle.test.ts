import { mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createIssuer, createRoot, issueIntermediate, parseX509, type CertifiedKey } from "#federation/identity/authority.ts";
import { encodeBundle } from "#federation/identity/bundle-jwks.ts";
import { publicKeyFromCsr } from "#federation/identity/csr.ts";
import { isIssuedBy } from "#federation/identity/issued-by.ts";
import { createKeyPair, parseKeyPair } from "#federation/identity/key-pair.ts";
import type { TrustDomainName } from "#federation/model/names.ts";
import type { TrustDomainSpec } from "#federation/model/resource.ts";
import { trustDomainSigningInput } from "#federation/model/signing-input.ts";
import type { TrustBundle } from "#federation/model/trust-bundle.ts";
import { AtollError, isAtollError } from "#federation/runtime/errors.ts";
import { signP256 } from "#federation/runtime/p256-signature.ts";
import { createSeededRandom } from "#federation/runtime/random.ts";
import { VirtualClock } from "#federation/runtime/virtual-clock.ts";
import { silentLogger } from "#federation/telemetry/logger.ts";
import { ClusterKeySource, type Certify } from "./cluster-credentials.ts";
import { ownIntermediatesMax } from "./cluster-keys.ts";
import { TrustDomainSigner } from "./signer.ts";

const dayMs = 86_400_000;
const shop = "shop.example" as TrustDomainName;

describe("a cluster's roots of its own trust domain", () => {
  let directory: string;
  let clock: VirtualClock;
  let signer: TrustDomainSigner;
  let stop: AbortController;
  let first: Uint8Array;
  let second: CertifiedKey;
  /** By which the signer issues, and what it tells with what it issues. */
  let issuing: { readonly root?: CertifiedKey; readonly bundle?: TrustBundle };
  let isSignerAway: boolean;
  let renewals: number;

  const certify: Certify = async ({ intermediate, signing }, current) => {
    if (current !== undefined) renewals++;
    if (isSignerAway) throw new AtollError("ATOLL_PEER_UNAVAILABLE", "the signer is away");
    const credentials = signer.certify("shop-us", intermediate, signing, clock.nowMs());
    const { root, bundle } = issuing;
    return {
      ...credentials,
      ...(root === undefined ? {} : { intermediateChain: issueIntermediate(createIssuer(root.certificatePem, root.privateKeyPem), { trustDomain: shop, name: "shop-us", publicKey: publicKeyFromCsr(intermediate), validityMs: 14 * dayMs, nowMs: clock.nowMs() }) }),
      ...(bundle === undefined ? {} : { bundle: Buffer.from(encodeBundle(bundle)) }),
    };
  };
  const open = (): Promise<ClusterKeySource> => ClusterKeySource.open({ dataDir: join(directory, "cluster"), trustDomain: shop, certify, svidMs: 3_600_000, clock, random: createSeededRandom(1), logger: silentLogger }, stop.signal);
  const bundleOf = (sequence: number, ...x509Authorities: readonly Uint8Array[]): TrustBundle => ({ trustDomain: shop, sequence, refreshHintSeconds: 300, x509Authorities });
  const stated = (bundle: TrustBundle, key = parseKeyPair(readFileSync(join(directory, "signer", "authority.key"), "utf8")).privateKey): TrustDomainSpec => {
    const document = encodeBundle(bundle);
    return { authorityCertificatePem: signer.authorityCertificatePem, bundle: document, bundleSignature: Buffer.from(signP256(trustDomainSigningInput(shop, document), key)).toString("base64url") };
  };
  const isUnder = ({ keys }: ClusterKeySource, root: Uint8Array): boolean => isIssuedBy(parseX509(keys.current.issuer?.chain[0] ?? new Uint8Array()), parseX509(root));

  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), "atoll-own-bundle-"));
    clock = new VirtualClock();
    signer = TrustDomainSigner.open(shop, directory, clock.nowMs());
    first = signer.bundle.x509Authorities[0] ?? new Uint8Array();
    second = createRoot({ trustDomain: shop, validityMs: 3_650 * dayMs, nowMs: clock.nowMs() });
    stop = new AbortController();
    issuing = {};
    isSignerAway = false;
    renewals = 0;
  });
  afterEach(() => {
    stop.abort();
    rmSync(directory, { recursive: true, force: true });
  });

  it("are the newer ones that its authority has signed, at once and after a restart, in a file of its own", async () => {
    const source = await open();
    const next = bundleOf(2, first, second.certificateDer);
    source.takeBundle(stated(next));
    expect(source.keys.current.bundle).toEqual(next);
    expect((await open()).keys.current.bundle).toEqual(next);
    expect(statSync(join(directory, "cluster", "ca", "bundle.json")).mode & 0o777).toBe(0o600);
    expect(renewals, "the root that issues is the same").toBe(0);
  });

  it("stay what they are, also on the disk, when what is said is refused", async () => {
    const source = await open();
    const held = bundleOf(5, first);
    source.takeBundle(stated(held));
    const bothRoots = [first, second.certificateDer] as const;
    const signed = stated(bundleOf(6, ...bothRoots));
    const refused: readonly (readonly [TrustDomainSpec, RegExp])[] = [
      [stated(bundleOf(6, ...bothRoots), createKeyPair().privateKey), /does not carry the signature of the authority/],
      [{ ...signed, bundle: encodeBundle(bundleOf(7, ...bothRoots)) }, /does not carry the signature of the authority/],
      [stated(bundleOf(4, ...bothRoots)), /sequence 4 does not take the place of the one with sequence 5: olderSequence/],
      [stated(bundleOf(5, ...bothRoots)), /sequenceReused/],
      [stated(bundleOf(6)), /empty/],
      [stated(bundleOf(6, createRoot({ trustDomain: "pay.example" as TrustDomainName, validityMs: dayMs, nowMs: clock.nowMs() }).certificateDer)), /belongs to another trust domain/],
    ];
    for (const [statement, message] of refused) {
      expect(() => source.takeBundle(statement)).toThrow(expect.objectContaining({ code: "ATOLL_BUNDLE_INVALID", message: expect.stringMatching(message) as string }) as Error);
      expect(source.keys.current.bundle).toEqual(held);
    }
    expect((await open()).keys.current.bundle).toEqual(held);
  });

  it("end at the newest that was said, in whatever order and however often it is heard, over restarts", async () => {
    const statements = [1, 2, 3, 4].map((sequence) => stated(sequence === 1 ? bundleOf(1, first) : bundleOf(sequence, first, second.certificateDer)));
    await fc.assert(
      fc.asyncProperty(fc.array(fc.oneof(fc.integer({ min: 1, max: 4 }), fc.constant("restart" as const)), { minLength: 1, maxLength: 12 }), async (events) => {
        rmSync(join(directory, "cluster"), { recursive: true, force: true });
        let source = await open();
        let newest = 1;
        for (const event of events) {
          if (event === "restart") {
            source = await open();
          } else {
            newest = Math.max(newest, event);
            const statement = statements[event - 1];
            try {
              if (statement !== undefined) source.takeBundle(statement);
            } catch (error) {
              if (!isAtollError(error, "ATOLL_BUNDLE_INVALID")) throw error;
            }
          }
          expect(source.keys.current.bundle.sequence).toBe(newest);
        }
      }),
      { numRuns: 25 },
    );
  });

  it("name first the one by which the signer issues: the cluster has an intermediate of it at once, not in a week", async () => {
    const source = await open();
    void source.run(stop.signal).catch(() => undefined);
    const next = bundleOf(2, second.certificateDer, first);
    issuing = { root: second, bundle: next };
    await clock.advance(dayMs);
    expect(renewals).toBe(0);
    source.takeBundle(stated(next));
    await clock.advance(1_000);
    expect(renewals).toBe(1);
    expect(isUnder(source, second.certificateDer)).toBe(true);
    expect(isUnder(await open(), second.certificateDer)).toBe(true);
    await clock.advance(dayMs);
    expect(renewals, "once").toBe(1);
  });

  it("leave known which intermediates were the cluster's own, over restarts and a bounded number of them", async () => {
    const source = await open();
    const had = [source.keys.current.issuer?.chain[0]];
    const running = source.run(stop.signal).catch(() => undefined);
    for (let sequence = 2; sequence < 12; sequence++) {
      const root = createRoot({ trustDomain: shop, validityMs: 3_650 * dayMs, nowMs: clock.nowMs() });
      const bundle = bundleOf(sequence, root.certificateDer);
      issuing = { root, bundle };
      source.takeBundle(stated(bundle));
      await clock.advance(120_000);
      expect(isUnder(source, root.certificateDer)).toBe(true);
      had.unshift(source.keys.current.issuer?.chain[0]);
      expect(source.keys.current.ownIntermediates).toEqual(had.slice(0, ownIntermediatesMax));
      expect(source.keys.current.earlierSvidsEndMs).toBeGreaterThan(clock.nowMs() + 3_600_000 - 120_001);
    }
    expect((await open()).keys.current.ownIntermediates).toEqual(had.slice(0, ownIntermediatesMax));
    stop.abort();
    await running;
  });

  it("keep its intermediate of before in use while the signer is away, and have another asked for until it is back, also after a restart", async () => {
    const source = await open();
    const running = source.run(stop.signal).catch(() => undefined);
    const next = bundleOf(2, second.certificateDer, first);
    issuing = { root: second, bundle: next };
    isSignerAway = true;
    source.takeBundle(stated(next));
    await clock.advance(3_600_000);
    expect(renewals).toBeGreaterThan(30);
    expect(renewals).toBeLessThan(80);
    expect(isUnder(source, first)).toBe(true);
    stop.abort();
    await running;

    stop = new AbortController();
    const again = await open();
    void again.run(stop.signal).catch(() => undefined);
    expect(isUnder(again, first)).toBe(true);
    isSignerAway = false;
    await clock.advance(120_000);
    expect(isUnder(again, second.certificateDer)).toBe(true);
  });

  it("do not go back with an intermediate that a signer of before gives", async () => {
    const source = await open();
    void source.run(stop.signal).catch(() => undefined);
    const next = bundleOf(2, second.certificateDer, first);
    source.takeBundle(stated(next));
    // It tells sequence 1, and issues by the first root.
    await clock.advance(3_600_000);
    expect(renewals).toBeGreaterThan(1);
    expect(source.keys.current.bundle).toEqual(next);
    expect((await open()).keys.current.bundle).toEqual(next);
  });
});
