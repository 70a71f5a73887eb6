import { expect, it } from "vitest";
import type { BundleRow } from "#federation/admin-api/plane-routes.ts";
import { createRoot } from "#federation/identity/authority.ts";
import { encodeBundle } from "#federation/identity/bundle-jwks.ts";
import type { RegionId, TrustDomainName } from "#federation/model/names.ts";
import { apiVersion, type Cluster, type TrustDomain } from "#federation/model/resource.ts";
import { AtollError } from "#federation/runtime/errors.ts";
import { systemClock } from "#federation/runtime/clock.ts";
import { rootsRows } from "./trust-status.ts";
import type { Asked } from "./patience.ts";

const shop = "shop.example" as TrustDomainName;
const roots = [1, 2].map(() => createRoot({ trustDomain: shop, validityMs: 3_600_000, nowMs: systemClock.nowMs() }).certificateDer);
const documentOf = (sequence: number, count: number): string => encodeBundle({ trustDomain: shop, sequence, refreshHintSeconds: 300, x509Authorities: roots.slice(0, count) });
const cluster = (name: string): Cluster => ({ apiVersion, kind: "Cluster", metadata: { name }, spec: { region: "eu-west" as RegionId, trustDomain: shop, exportNamespaces: [], gateways: [] } });
const told: TrustDomain = { apiVersion, kind: "TrustDomain", metadata: { name: shop }, spec: { authorityCertificatePem: "", bundle: documentOf(2, 2), bundleSignature: "" } };
const answer = (sequence: number, count: number): Asked<readonly BundleRow[]> => ({ kind: "answer", value: [{ trustDomain: shop, sequence, document: documentOf(sequence, count), from: "signer" }] });

it("names each cluster that lacks the newest roots, and each that does not say", () => {
  const asked = new Map<string, Asked<readonly BundleRow[]>>([
    ["d", { kind: "answer", value: [] }],
    ["c", { kind: "failed", error: new AtollError("ATOLL_PEER_UNAVAILABLE", "nobody is there") }],
    ["b", answer(1, 1)],
    ["a", answer(2, 2)],
    ["e", answer(3, 1)],
  ]);
  const common = { trustDomain: shop, newest: 2 };
  expect(rootsRows(["e", "d", "c", "b", "a"].map(cluster), [told], asked)).toEqual([
    { ...common, cluster: "a", sequence: 2, roots: 2, standing: "newest" },
    { ...common, cluster: "b", sequence: 1, roots: 1, standing: "behind", reason: "lacks the newest, of sequence 2" },
    { ...common, cluster: "c", standing: "unknown", reason: expect.stringContaining("its plane does not answer: ") as string },
    { ...common, cluster: "d", standing: "unknown", reason: "its plane names no roots of its own trust domain" },
    { ...common, cluster: "e", sequence: 3, roots: 1, standing: "newest" },
  ]);
});
