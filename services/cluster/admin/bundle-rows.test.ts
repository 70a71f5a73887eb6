import { expect, it } from "vitest";
import { encodeBundle } from "#federation/identity/bundle-jwks.ts";
import { createDomainFixture } from "#federation/identity/identity-fixture.ts";
import { jwtAuthorityOf } from "#federation/identity/jwt-svid.ts";
import { createKeyPair } from "#federation/identity/key-pair.ts";
import { clusterState } from "../cluster-state-fixture.ts";
import { bundleRows } from "./bundle-rows.ts";

const bundleOf = (name: string) => createDomainFixture(name, Date.UTC(2026, 0, 1)).bundle;

it("tells the document of each trust domain, its own first, and through whom it has come", () => {
  const [bank, pay, shop] = [bundleOf("bank.example"), bundleOf("pay.example"), bundleOf("shop.example")];
  const bundles = new Map([pay, shop, bank].map((bundle) => [bundle.trustDomain, bundle]));
  expect(bundleRows(clusterState({ bundles }), 1_200.7)).toEqual([
    { trustDomain: "shop.example", sequence: 1, from: "signer", document: encodeBundle(shop) },
    { trustDomain: "bank.example", sequence: 1, from: "globalPlane", heardAgeMs: 1_200, document: encodeBundle(bank) },
    { trustDomain: "pay.example", sequence: 1, from: "globalPlane", heardAgeMs: 1_200, document: encodeBundle(pay) },
  ]);
  const jwtAuthorities = [jwtAuthorityOf(createKeyPair().publicKey)];
  const withKeys = new Map([...bundles].map(([name, bundle]) => [name, { ...bundle, jwtAuthorities }]));
  expect(bundleRows(clusterState({ bundles: withKeys }), 1_200.7), "keys that nobody has numbered").toEqual(bundleRows(clusterState({ bundles }), 1_200.7));
  expect(bundleRows(clusterState({ bundles }), undefined)[1], "never heard").not.toHaveProperty("heardAgeMs");
});

it("tells the document of a federated trust domain whole, as it was fetched", () => {
  const partner = { ...bundleOf("partner.example"), jwtAuthorities: [jwtAuthorityOf(createKeyPair().publicKey)], isFederated: true } as const;
  expect(bundleRows(clusterState({ bundles: new Map([[partner.trustDomain, partner]]) }), 1_200)).toEqual([{ trustDomain: "partner.example", sequence: 1, from: "bundleEndpoint", document: encodeBundle(partner) }]);
});
