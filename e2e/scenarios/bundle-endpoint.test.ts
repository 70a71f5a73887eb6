import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeEach, describe, expect, it } from "vitest";
import { createIssuer, createRoot, issueIntermediate } from "#federation/identity/authority.ts";
import { encodeBundle } from "#federation/identity/bundle-jwks.ts";
import { createDomainFixture, type DomainFixture } from "#federation/identity/identity-fixture.ts";
import { createKeyPair, exportPrivateKeyPem } from "#federation/identity/key-pair.ts";
import { chainPem } from "#federation/identity/pem.ts";
import { bundleEndpointId } from "#federation/model/spiffe-id.ts";
import { systemClock } from "#federation/runtime/clock.ts";
import { GoFederation, type GoBundleEvent } from "../harness/go-federation.ts";
import { buildGoPeer } from "../harness/go-peer.ts";
import { ServedBundle } from "../harness/served-bundle.ts";

// Servers that know nothing of Atoll federate with a trust domain of it by its bundle endpoint: what fetches here is go-spiffe, as in SPIRE.

const program = await buildGoPeer("./federation");
afterAll(() => program?.[Symbol.dispose]());

describe.skipIf(program === undefined)(`a federation by go-spiffe${program === undefined ? " (left out: it could not be built here)" : ""}`, () => {
  let directory: string;
  let domain: DomainFixture;

  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), "atoll-bundles-"));
    domain = createDomainFixture("shop.example", systemClock.nowMs());
  });
  afterEach(() => rmSync(directory, { recursive: true, force: true }));

  const file = (name: string, text: string): string => {
    writeFileSync(join(directory, name), text, { mode: 0o600 });
    return join(directory, name);
  };
  const follow = (url: string, ...words: readonly string[]): GoFederation => new GoFederation(program?.path ?? "", [domain.name, url, ...words]);
  const followAs = (endpointId: string, { port }: ServedBundle): GoFederation => follow(`https://127.0.0.1:${port}/`, "https_spiffe", endpointId, file("bootstrap.json", encodeBundle(domain.bundle)));
  const hasSequence = (sequence: number) => (event: GoBundleEvent) => event.event === "bundle" && event.sequence === sequence;
  const errorsOf = ({ events }: GoFederation): readonly GoBundleEvent[] => events.filter(({ event }) => event === "error");
  const errorSaying = (words: string) => ({ event: "error", error: expect.stringContaining(words) as string });

  it("fetches the bundle by https_spiffe, and goes on by it when the root is another", async () => {
    await using served = await ServedBundle.open(domain, { profile: "https_spiffe", port: 0 });
    await using follower = followAs(bundleEndpointId(domain.name), served);
    expect(await follower.find(hasSequence(1))).toEqual({ event: "bundle", sequence: 1, refreshHintSeconds: 300, roots: 1, jwtKeys: 0 });

    // Both roots, then SVIDs by the other one, then that one alone.
    const root = createRoot({ trustDomain: domain.name, validityMs: 86_400_000, nowMs: systemClock.nowMs() });
    const both = { ...domain.bundle, sequence: 2, x509Authorities: [...domain.bundle.x509Authorities, root.certificateDer] };
    served.keys.set({ issuer: domain.intermediateIssuer, bundle: both });
    expect(await follower.find(hasSequence(2))).toMatchObject({ roots: 2 });
    const next = createKeyPair();
    const chain = issueIntermediate(createIssuer(root.certificatePem, root.privateKeyPem), { trustDomain: domain.name, name: "shop-eu", publicKey: next.publicKey, validityMs: 3_600_000, nowMs: systemClock.nowMs() });
    served.keys.set({ issuer: createIssuer(chainPem(chain), exportPrivateKeyPem(next.privateKey)), bundle: { ...both, sequence: 3, x509Authorities: [root.certificateDer] } });
    expect(await follower.find(hasSequence(3))).toMatchObject({ roots: 1 });
    expect(errorsOf(follower)).toEqual([]);
    // Who begins only now, by what the domain had at first, has missed too much, and nobody is believed in its place.
    await using late = followAs(bundleEndpointId(domain.name), served);
    expect(await late.find(() => true)).toMatchObject(errorSaying("certificate signed by unknown authority"));
  });

  it("takes the endpoint for none but itself", async () => {
    await using served = await ServedBundle.open(domain, { profile: "https_spiffe", port: 0 });
    await using follower = followAs("spiffe://shop.example/spire/server", served);
    expect(await follower.find(() => true)).toMatchObject(errorSaying(`unexpected ID "${bundleEndpointId(domain.name)}"`));
  });

  it("fetches the bundle by https_web, under the name that the certificate has", async () => {
    const web = createDomainFixture("web.example", systemClock.nowMs());
    const shown = web.issue("spiffe://web.example/x", "root", { dnsNames: ["localhost"] });
    await using served = await ServedBundle.open(domain, { profile: "https_web", port: 0, certificateFile: file("web.pem", shown.certificateChainPem), keyFile: file("web.key", shown.privateKeyPem) });
    const roots = file("web-roots.pem", web.root.certificatePem);
    await using follower = follow(`https://localhost:${served.port}/`, "https_web", roots);
    expect(await follower.find(hasSequence(1))).toMatchObject({ roots: 1 });
    served.keys.set({ issuer: domain.intermediateIssuer, bundle: { ...domain.bundle, sequence: 2 } });
    await follower.find(hasSequence(2));
    expect(errorsOf(follower)).toEqual([]);
    await using stranger = follow(`https://127.0.0.1:${served.port}/`, "https_web", roots);
    expect(await stranger.find(() => true)).toMatchObject(errorSaying("cannot validate certificate for 127.0.0.1"));
  });
});
