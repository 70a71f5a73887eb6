import { createHash } from "node:crypto";
import { describe, expect, it } from "vitest";
import { encodeBundle } from "#federation/identity/bundle-jwks.ts";
import { createDomainFixture, type DomainFixture } from "#federation/identity/identity-fixture.ts";
import { jwtAuthorityOf } from "#federation/identity/jwt-svid.ts";
import { createKeyPair } from "#federation/identity/key-pair.ts";
import { clusterState } from "../cluster-state-fixture.ts";
import type { HeldBy } from "../discovery/discovery-service.ts";
import type { LostProxy } from "../discovery/lost-proxies.ts";
import { bundleRows, type BundleFacts } from "./bundle-rows.ts";

const nowMs = Date.UTC(2026, 0, 1);
const [bank, pay, shop] = (["bank.example", "pay.example", "shop.example"] as const).map((name) => createDomainFixture(name, nowMs)) as [DomainFixture, DomainFixture, DomainFixture];
const bundles = new Map([pay, shop, bank].map(({ name, bundle }) => [name, bundle]));
const nobody: HeldBy = { isHeld: true, proxies: [], lost: [], unsettledMs: 0 };
const facts = (more: Partial<BundleFacts> = {}): BundleFacts => ({ heardAgeMs: 1_200.7, heldBy: () => nobody, keys: { issuer: shop.intermediateIssuer, earlierSvidsEndMs: 0 }, nowMs, ...more });

it("tells the document of each trust domain, its own first, and through whom it has come", () => {
  const proxies = { have: 0, lack: 0, lacking: [], unsettledMs: 0 };
  const rootSha256 = createHash("sha256").update(shop.root.certificateDer).digest("hex");
  expect(bundleRows(clusterState({ bundles }), facts())).toEqual([
    { trustDomain: "shop.example", sequence: 1, from: "signer", document: encodeBundle(shop.bundle), proxies, intermediate: { rootSha256, earlierSvidsLeftMs: 0 } },
    { trustDomain: "bank.example", sequence: 1, from: "globalPlane", heardAgeMs: 1_200, document: encodeBundle(bank.bundle), proxies },
    { trustDomain: "pay.example", sequence: 1, from: "globalPlane", heardAgeMs: 1_200, document: encodeBundle(pay.bundle), proxies },
  ]);
  const jwtAuthorities = [jwtAuthorityOf(createKeyPair().publicKey)];
  const withKeys = new Map([...bundles].map(([name, bundle]) => [name, { ...bundle, jwtAuthorities }]));
  expect(bundleRows(clusterState({ bundles: withKeys }), facts()), "keys that nobody has numbered").toEqual(bundleRows(clusterState({ bundles }), facts()));
  expect(bundleRows(clusterState({ bundles }), facts({ heardAgeMs: undefined }))[1], "never heard").not.toHaveProperty("heardAgeMs");
});

describe("of a cluster's own bundle", () => {
  const ownRow = (more: Partial<BundleFacts>) => bundleRows(clusterState({ bundles }), facts(more))[0];

  it("counts as lacking whoever has not acknowledged it or fell silent before, and names the first", () => {
    const pending = Array.from({ length: 20 }, (_, index) => ({ name: `p${index}`, standing: { kind: "pending" } as const }));
    const refused = { name: "refusing", standing: { kind: "refused", message: "no" } as const };
    const lost = { name: "away" } as LostProxy;
    const heldBy = (key: string, wanted: unknown): HeldBy => {
      expect([key, wanted].slice(0, key === "Bundle/shop.example" ? 2 : 0)).toEqual(key === "Bundle/shop.example" ? ["Bundle/shop.example", { epoch: 0, revision: 1 }] : []);
      return { ...nobody, proxies: [{ name: "has", standing: { kind: "acknowledged" } }, refused, ...pending], lost: [lost], unsettledMs: 0.5 };
    };
    expect(ownRow({ heldBy })?.proxies).toEqual({ have: 1, lack: 22, lacking: ["refusing", ...pending.slice(0, 15).map(({ name }) => name)], unsettledMs: 1 });
  });

  it("says for how long what another intermediate has issued lives, and names no root that the bundle lacks", () => {
    expect(ownRow({ keys: { issuer: shop.intermediateIssuer, earlierSvidsEndMs: nowMs + 1.5 } })?.intermediate?.earlierSvidsLeftMs).toBe(2);
    expect(ownRow({ keys: { issuer: pay.intermediateIssuer, earlierSvidsEndMs: 0 } })).not.toHaveProperty("intermediate");
  });
});

it("tells the document of a federated trust domain whole, as it was fetched", () => {
  const { bundle } = createDomainFixture("partner.example", nowMs);
  const partner = { ...bundle, jwtAuthorities: [jwtAuthorityOf(createKeyPair().publicKey)], isFederated: true } as const;
  expect(bundleRows(clusterState({ bundles: new Map([[partner.trustDomain, partner]]) }), facts())).toEqual([{ trustDomain: "partner.example", sequence: 1, from: "bundleEndpoint", document: encodeBundle(partner) }]);
});
