import { expect, it } from "vitest";
import type { BundleRow } from "#federation/admin-api/plane-routes.ts";
import type { ClusterStatus } from "#federation/admin-api/status.ts";
import { listedBundles } from "./trust-bundle-list.ts";

type Row = NonNullable<ClusterStatus["federatedTrustDomains"]>[number];

const item = (trustDomain: string, from: BundleRow["from"], more: Partial<BundleRow> = {}): BundleRow => ({ trustDomain: trustDomain as BundleRow["trustDomain"], sequence: 4, from, document: "{}", ...more });
const fetched = (trustDomain: string, more: Partial<Row> = {}): Row => ({ trustDomain: trustDomain as Row["trustDomain"], profile: "https_web", ...more });
const fault = { reason: "time", message: "https://away.example/: it did not answer within 10 s", sinceMs: 1 };

it("lists each bundle with where it comes from and when that was heard, and those that are still to be fetched", () => {
  const items = [item("shop.example", "signer"), item("pay.example", "globalPlane", { heardAgeMs: 800 }), item("partner.example", "bundleEndpoint"), item("handed.example", "bundleEndpoint")];
  const status = {
    asOfMs: 10_000,
    federatedTrustDomains: [
      fetched("away.example", { fault, nextFetchMs: 15_000 }),
      fetched("handed.example", { sequence: 4, fault }),
      fetched("partner.example", { sequence: 4, acceptedAtMs: 2_000, confirmedAtMs: 9_000, nextFetchMs: 60_000 }),
    ],
  };
  expect(listedBundles("shop-eu", items, status)).toEqual([
    { cluster: "shop-eu", trustDomain: "shop.example", sequence: 4, from: "its signer" },
    { cluster: "shop-eu", trustDomain: "pay.example", sequence: 4, from: "the global plane", heardAgeMs: 800 },
    { cluster: "shop-eu", trustDomain: "partner.example", sequence: 4, from: "its bundle endpoint", confirmedAtMs: 9_000, heardAgeMs: 1_000, nextFetchMs: 60_000 },
    { cluster: "shop-eu", trustDomain: "handed.example", sequence: 4, from: "its people, with the FederatedTrustDomain", fault },
    { cluster: "shop-eu", trustDomain: "away.example", from: "its bundle endpoint", nextFetchMs: 15_000, fault },
  ]);
});
