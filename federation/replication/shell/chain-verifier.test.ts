import { describe, expect, it } from "vitest";
import { createAuthority, createIssuer } from "#federation/identity/authority.ts";
import { createKeyPair } from "#federation/identity/key-pair.ts";
import { issueSigningCertificate } from "#federation/identity/leaf.ts";
import { createSpiffeId, parseTrustDomainName } from "#federation/model/spiffe-id.ts";
import { VirtualClock } from "#federation/runtime/virtual-clock.ts";
import { createChainVerifier } from "./chain-verifier.ts";

const dayMs = 86_400_000;

function party(name: string, origin: string, nowMs: number) {
  const trustDomain = parseTrustDomainName(name);
  const authority = createAuthority({ trustDomain, validityMs: 1_000 * dayMs, nowMs });
  const { publicKey } = createKeyPair();
  const chain = issueSigningCertificate(createIssuer(authority.certificatePem, authority.privateKeyPem), authority.certificateDer, {
    spiffeId: createSpiffeId(trustDomain, "atoll", "signing", origin),
    publicKey,
    validityMs: 30 * dayMs,
    nowMs,
  });
  return { trustDomain: name, origin, publicKey, chain, authorityPem: authority.certificatePem };
}

describe("createChainVerifier", () => {
  const clock = new VirtualClock();
  const shop = party("shop.example", "shop-eu", clock.nowMs());
  const global = party("demo.atoll", "global", clock.nowMs());
  const authorities = new Map([shop, global].map((one) => [one.trustDomain, one.authorityPem]));
  const verify = createChainVerifier({ federation: "demo.atoll", authorityOf: (name) => authorities.get(name), clock });
  const originOf = ({ origin, trustDomain }: { readonly origin: string; readonly trustDomain: string }) => ({ federation: "demo.atoll", origin, trustDomain });
  const verified = (one: typeof shop): readonly Uint8Array[] => {
    verify(one.chain, originOf(one));
    return one.chain;
  };
  const refusal = expect.objectContaining({ code: "ATOLL_SIGNATURE_INVALID" });

  it("answers the key of a chain that ends in the pinned authority and names the origin", () => {
    expect(verify(shop.chain, originOf(shop)).equals(shop.publicKey)).toBe(true);
    expect(verify(global.chain, originOf(global)).equals(global.publicKey)).toBe(true);
  });

  it.each([
    ["another origin of the trust domain", () => verify(shop.chain, { ...originOf(shop), origin: "shop-us" })],
    ["another trust domain", () => verify(shop.chain, { ...originOf(shop), trustDomain: "pay.example" })],
    ["another federation", () => verify(shop.chain, { ...originOf(shop), federation: "other.atoll" })],
    ["the global plane for a workloads' trust domain", () => verify(global.chain, { ...originOf(global), trustDomain: "shop.example" })],
    ["a cluster for the federation", () => verify(shop.chain, { ...originOf(shop), trustDomain: "demo.atoll" })],
    ["the same bytes in other pieces than a chain that was judged", () => verify([Buffer.concat(verified(shop))], originOf(shop))],
    ["an authority that is not the pinned one", () => verify(party("shop.example", "shop-eu", clock.nowMs()).chain, originOf(shop))],
  ])("refuses %s", (_what, act) => {
    expect(act).toThrow(refusal);
  });

  it("forgets what it judged when the authority changes, and at the end of the certificate", async () => {
    authorities.set("shop.example", global.authorityPem);
    expect(() => verify(shop.chain, originOf(shop))).toThrow(refusal);
    authorities.set("shop.example", shop.authorityPem);
    expect(verify(shop.chain, originOf(shop)).equals(shop.publicKey)).toBe(true);
    await clock.advance(31 * dayMs);
    expect(() => verify(shop.chain, originOf(shop))).toThrow(refusal);
  });
});
