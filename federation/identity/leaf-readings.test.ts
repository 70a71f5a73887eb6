import { X509Certificate } from "node:crypto";
import { expect, it } from "vitest";
import { systemClock } from "#federation/runtime/clock.ts";
import { parseSpiffeId, parseTrustDomainName } from "#federation/model/spiffe-id.ts";
import { createIssuer, createRoot } from "./authority.ts";
import { readSvidLeaf } from "./certificate-reader.ts";
import { createKeyPair } from "./key-pair.ts";
import { issueSvid } from "./leaf.ts";
import { leafReadingsMax, LeafReadings } from "./leaf-readings.ts";

const root = createRoot({ trustDomain: parseTrustDomainName("shop.example"), nowMs: systemClock.nowMs(), validityMs: 86_400_000 });
const issuer = createIssuer(root.certificatePem, root.privateKeyPem);

function leafOf(path: string): Buffer {
  const [leaf = new Uint8Array()] = issueSvid(issuer, { spiffeId: parseSpiffeId(`spiffe://shop.example${path}`), publicKey: createKeyPair().publicKey, validityMs: 60_000, nowMs: systemClock.nowMs() });
  return Buffer.from(leaf);
}

it("says of each leaf what reading it says, the first time and later, also when it is refused", () => {
  const readings = new LeafReadings();
  const leaves = [leafOf("/ns/web/sa/catalog"), leafOf("/ns/web/sa/storefront"), Buffer.from(new X509Certificate(root.certificatePem).raw), Buffer.alloc(0)];
  for (let round = 0; round < 2; round++) {
    for (const leaf of leaves) expect(readings.read(leaf)).toEqual(readSvidLeaf(leaf));
  }
});

it("does not grow without end, and is right beyond its bound", () => {
  const readings = new LeafReadings();
  const leaf = leafOf("/ns/web/sa/catalog");
  for (let count = 0; count < leafReadingsMax + 10; count++) readings.read(Buffer.from(`not a certificate ${count}`));
  expect(readings.read(leaf)).toEqual({ kind: "svid", spiffeId: "spiffe://shop.example/ns/web/sa/catalog" });
});
