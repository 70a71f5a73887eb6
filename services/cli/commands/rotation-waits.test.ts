import { expect, it } from "vitest";
import type { BundleRow, RootRotation } from "#federation/admin-api/plane-routes.ts";
import type { RegionId, TrustDomainName } from "#federation/model/names.ts";
import { apiVersion, type Cluster, type Relationship } from "#federation/model/resource.ts";
import { AtollError } from "#federation/runtime/errors.ts";
import type { Asked } from "./patience.ts";
import { nextWords, rotationWaits } from "./rotation-waits.ts";

const [shop, pay, bank] = ["shop.example", "pay.example", "bank.example"] as [TrustDomainName, TrustDomainName, TrustDomainName];
const [former, other] = ["a".repeat(64), "b".repeat(64)] as const;
const cluster = (name: string, trustDomain = shop): Cluster => ({ apiVersion, kind: "Cluster", metadata: { name }, spec: { region: "eu-west" as RegionId, trustDomain, exportNamespaces: [], gateways: [] } });
const relationship = { apiVersion, kind: "Relationship", metadata: { name: "shop-pay" }, spec: { caller: { trustDomain: shop }, callee: { trustDomain: pay } } } as unknown as Relationship;
const proxies = { have: 1, lack: 0, lacking: [], unsettledMs: 0 };
const row = (more: Partial<BundleRow> = {}): BundleRow => ({ trustDomain: shop, sequence: 3, from: "signer", document: "{}", proxies, intermediate: { rootSha256: other, earlierSvidsLeftMs: 0 }, ...more });
const answer = (...rows: readonly BundleRow[]): Asked<readonly BundleRow[]> => ({ kind: "answer", value: rows });
const draining: RootRotation = { trustDomain: shop, phase: "draining", sequence: 3, issuingSha256: other };
const waits = (asked: Readonly<Record<string, Asked<readonly BundleRow[]>>>, rotation = draining, clusters = [cluster("eu"), cluster("us"), cluster("pay-eu", pay), cluster("bank-eu", bank)]) =>
  rotationWaits({ rotation, signer: "eu", clusters, relationships: [relationship], asked: new Map(Object.entries(asked)) });

const { intermediate: _, ...older } = row();
const { proxies: __, ...oldest } = older;
const silent: Asked<readonly BundleRow[]> = { kind: "failed", error: new AtollError("ATOLL_ADMIN_UNAVAILABLE", "nobody is there") };

it("waits for nobody when everybody goes along, and for no cluster that does not verify by the trust domain's roots", () => {
  expect(waits({ eu: answer(row()), us: answer(row({ sequence: 4 })), "pay-eu": answer(), "bank-eu": silent })).toEqual([]);
  expect(nextWords("draining", [])).toBe("taint waits for nobody");
});

it.each([
  ["whose plane does not answer", silent, "silent", "its plane does not answer: "],
  ["whose plane names no roots", answer(), "unsaid", "its plane names no roots"],
  ["that has the bundle of before", answer(row({ sequence: 2 })), "behind", "has the bundle of sequence 2"],
  ["whose plane is older", answer(oldest), "unsaid", "of a version that does not say"],
  ["with proxies of before", answer(row({ proxies: { ...proxies, lack: 18, lacking: ["a", "b"] } })), "proxies", "proxies without the bundle: a, b and 16 more"],
  ["whose plane has just begun", answer(row({ proxies: { ...proxies, unsettledMs: 1 } })), "unsettled", "just begun to serve"],
  ["that issues by the former root", answer(row({ intermediate: { rootSha256: former, earlierSvidsLeftMs: 0 } })), "intermediate", "issues by its intermediate of the former root"],
  ["that does not say by which root it issues", answer(older), "intermediate", "issues by its intermediate of the former root"],
  ["whose SVIDs of before live", answer(row({ intermediate: { rootSha256: other, earlierSvidsLeftMs: 1_001 } })), "svids", "ends in 2 s"],
] as const)("waits for a cluster %s, by its name", (_name, asked, cause, words) => {
  const found = waits({ eu: answer(row()), us: asked, "pay-eu": answer() });
  expect(found).toEqual([{ cluster: "us", cause, reason: expect.stringContaining(words) as string }]);
  expect(nextWords("draining", found)).toMatch(/^taint waits for us \(/);
});

it("waits for the clusters of a related trust domain only until they have the bundle", () => {
  const own = { eu: answer(row()), us: answer(row()) };
  expect(waits({ ...own, "pay-eu": answer(oldest) }).map((wait) => wait.cause)).toEqual(["unsaid"]);
  expect(waits({ ...own, "pay-eu": silent }).map((wait) => wait.cluster)).toEqual(["pay-eu"]);
  expect(waits({ ...own, "pay-eu": answer(older) })).toEqual([]);
});

it("asks nothing of intermediates before the other root issues", () => {
  const rotation: RootRotation = { trustDomain: shop, phase: "distributing", sequence: 3, issuingSha256: former };
  expect(waits({ eu: answer(row()), us: answer(older), "pay-eu": answer() }, rotation)).toEqual([]);
});

it("waits while the global plane does not list the signer's own cluster", () => {
  expect(waits({}, draining, [])).toEqual([{ cluster: "eu", cause: "unlisted", reason: expect.any(String) as string }]);
});
