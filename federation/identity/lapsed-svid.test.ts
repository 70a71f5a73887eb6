import { expect, test } from "vitest";
import { issueSigningCertificate } from "./leaf.ts";
import { createDomainFixture } from "./identity-fixture.ts";
import { createKeyPair, spkiSha256 } from "./key-pair.ts";
import { judgeLapsedSvid } from "./lapsed-svid.ts";
import { parseChainPem } from "./pem.ts";
import type { X509Svid } from "./svid.ts";
import { parseX509 } from "./authority.ts";
import { parseSpiffeId } from "#federation/model/spiffe-id.ts";

const startMs = Date.UTC(2026, 0, 1);
const hourMs = 3_600_000;
const id = "spiffe://shop.example/ns/web/sa/storefront";
const shop = createDomainFixture("shop.example", startMs);
const svid = shop.issue(id);

function judge(of: X509Svid, nowMs: number, bundle = shop.bundle) {
  return judgeLapsedSvid(parseChainPem(of.certificateChainPem), { bundle, nowMs, lapseMsMax: 24 * hourMs });
}

test("an SVID says who its holder is while it lives, and for a bounded time after its end", () => {
  const [leaf = new Uint8Array()] = parseChainPem(svid.certificateChainPem);
  for (const nowMs of [startMs, svid.notAfterMs, svid.notAfterMs + 1, svid.notAfterMs + 24 * hourMs]) {
    const verdict = judge(svid, nowMs);
    expect(verdict).toMatchObject({ kind: "known", spiffeId: id, notAfterMs: svid.notAfterMs });
    if (verdict.kind === "known") expect(spkiSha256(verdict.publicKey)).toBe(spkiSha256(parseX509(leaf).publicKey));
  }
  expect(judge(svid, svid.notAfterMs + 24 * hourMs + 1)).toEqual({ kind: "refused", reason: "the certificate ended too long ago" });
  expect(judge(svid, startMs - 24 * hourMs)).toEqual({ kind: "refused", reason: "the certificate was not valid then" });
});

test("an intermediate that has ended since does not take its holders along", () => {
  const atMs = startMs + 335.5 * hourMs;
  const last = shop.issue(id, "intermediate", { nowMs: atMs });
  expect(last.notAfterMs).toBe(startMs + 336 * hourMs);
  expect(judge(last, startMs + 337 * hourMs)).toMatchObject({ kind: "known" });
});

test("a root that is in the bundle no more vouches for nobody, and no other trust domain's root ever does", () => {
  const other = createDomainFixture("shop.example", startMs);
  const pay = createDomainFixture("pay.example", startMs);
  expect(judge(svid, svid.notAfterMs + 1, other.bundle)).toEqual({ kind: "refused", reason: "no root of shop.example vouches for the certificate" });
  expect(judge(svid, svid.notAfterMs + 1, pay.bundle)).toEqual({ kind: "refused", reason: `${id} is not of pay.example` });
  expect(judge(pay.issue(id), startMs)).toMatchObject({ kind: "refused" });
  expect(judge(pay.issue(id), startMs, { ...shop.bundle, x509Authorities: pay.bundle.x509Authorities })).toMatchObject({ kind: "refused" });
});

test("what is no SVID, or does not hang together, is refused with a reason", () => {
  const chain = parseChainPem(svid.certificateChainPem);
  const foreign = parseChainPem(createDomainFixture("shop.example", startMs).issue(id).certificateChainPem);
  const [signing = new Uint8Array()] = issueSigningCertificate(shop.intermediateIssuer, new Uint8Array(), {
    spiffeId: parseSpiffeId("spiffe://shop.example/atoll/signing/one"),
    publicKey: createKeyPair().publicKey,
    validityMs: hourMs,
    nowMs: startMs,
  });
  const judged = [[], chain.slice(0, 1), [chain[0], foreign[1]], [chain[1]], [signing, chain[1]], [...chain, ...chain], [Buffer.from("nonsense"), chain[1]], [chain[0], Buffer.from("nonsense")]].map((these) =>
    judgeLapsedSvid(these.filter((der) => der !== undefined), { bundle: shop.bundle, nowMs: startMs, lapseMsMax: hourMs }),
  );
  expect(judged.map(({ kind }) => kind)).toEqual(judged.map(() => "refused"));
  expect(new Set(judged.map((verdict) => (verdict.kind === "refused" ? verdict.reason : ""))).size).toBeGreaterThan(3);
  expect(judgeLapsedSvid(parseChainPem(shop.issue(id, "root").certificateChainPem), { bundle: shop.bundle, nowMs: startMs, lapseMsMax: 0 })).toMatchObject({ kind: "known" });
});

test("what an intermediate of the judge's own has issued says who its holder is when its root is believed no more, and what another one has issued does not", () => {
  const { bundle } = createDomainFixture("shop.example", startMs);
  const [, own = new Uint8Array()] = parseChainPem(svid.certificateChainPem);
  const [leaf, other] = parseChainPem(createDomainFixture("shop.example", startMs).issue(id).certificateChainPem);
  const judged = (chain: readonly (Uint8Array | undefined)[]) => judgeLapsedSvid(chain.filter((der) => der !== undefined), { bundle, ownIntermediates: [own], nowMs: svid.notAfterMs + 1, lapseMsMax: hourMs });
  expect(judged(parseChainPem(svid.certificateChainPem))).toMatchObject({ kind: "known", spiffeId: id });
  expect(judged([leaf, other])).toEqual({ kind: "refused", reason: "no root of shop.example vouches for the certificate" });
  expect(judged([leaf, own])).toEqual({ kind: "refused", reason: "the certificate is not issued by its intermediate" });
  expect(judgeLapsedSvid(parseChainPem(svid.certificateChainPem), { bundle, ownIntermediates: [own], nowMs: svid.notAfterMs + hourMs + 1, lapseMsMax: hourMs })).toEqual({ kind: "refused", reason: "the certificate ended too long ago" });
});
