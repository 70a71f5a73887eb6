import { expect, it } from "vitest";
import type { BundleRow } from "#federation/admin-api/plane-routes.ts";
import type { TrustDomainName } from "#federation/model/names.ts";
import { originWords } from "./trust-bundle.ts";

it("says through whom a bundle has come, and when that was heard last", () => {
  const row = (more: Pick<BundleRow, "from"> & Partial<BundleRow>): BundleRow => ({ trustDomain: "pay.example" as TrustDomainName, sequence: 3, document: "{}", ...more });
  const told = "The bundle of pay.example, sequence 3, as the plane of shop-eu has it";
  expect(originWords(row({ from: "signer" }), "shop-eu")).toBe(`${told} from its signer.`);
  expect(originWords(row({ from: "globalPlane", heardAgeMs: 120_000 }), "shop-eu")).toBe(`${told} through the global plane, heard 2 min ago.`);
  expect(originWords(row({ from: "globalPlane" }), "shop-eu")).toBe(`${told} through the global plane, which it has not heard since it started.`);
});
