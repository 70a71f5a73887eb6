import { execFileSync, spawnSync } from "node:child_process";
import { generateKeyPairSync, sign, X509Certificate } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as fc from "fast-check";
import { afterAll, beforeAll, expect, test } from "vitest";
import { parseSpiffeId, parseTrustDomainName } from "#federation/model/spiffe-id.ts";
import { createAnchors, selectAnchorRoots } from "./anchors.ts";
import { createAuthority, createIssuer } from "./authority.ts";
import { readCertificate, readSvidLeaf, readUriNames } from "./certificate-reader.ts";
import { createName, createValidity, keyUsage, leafConstraints, notBeforeSkewMs, signCertificate, subjectAltNames } from "./certificate-writer.ts";
import { createCsr, publicKeyFromCsr } from "./csr.ts";
import { bitString, contextConstructed, contextPrimitive, integer, octetString, oid, oids, readDer, sequence, setOf, utf8String, writeDer, type DerNode } from "./der.ts";
import { createDomainFixture } from "./identity-fixture.ts";
import { createKeyPair, exportPrivateKeyPem, exportSpki, spkiSha256 } from "./key-pair.ts";
import { createX509Svid, issueSigningCertificate, issueSvid } from "./leaf.ts";
import { chainPem, parseChainPem } from "./pem.ts";
import { verifySigningChain } from "./signing-chain.ts";

const nowMs = Date.UTC(2030, 0, 1, 12);
const shop = createDomainFixture("shop.example", nowMs);
const pay = createDomainFixture("pay.example", nowMs);
const storefront = "spiffe://shop.example/ns/web/sa/storefront";
let directory = "";

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), "atoll-identity-"));
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

function file(name: string, text: string | Uint8Array): string {
  const path = join(directory, name);
  writeFileSync(path, text);
  return path;
}

/** openssl's own judgement of a leaf (PEM, leaf first) under `trusted`. */
function opensslVerify(leafChain: string, trusted: string, purpose: string): { readonly ok: boolean; readonly output: string } {
  const [leaf, ...rest] = parseChainPem(leafChain);
  const args = ["verify", "-x509_strict", "-purpose", purpose, "-attime", String(nowMs / 1000), "-CAfile", file("trusted.pem", trusted)];
  if (rest.length > 0) args.push("-untrusted", file("untrusted.pem", chainPem(rest)));
  const result = spawnSync("openssl", [...args, file("leaf.pem", chainPem([leaf as Buffer]))], { encoding: "utf8" });
  return { ok: result.status === 0, output: result.stdout + result.stderr };
}

test.each(["root", "intermediate"] as const)("openssl accepts an SVID from a %s strictly, for both TLS sides, under the plain root and under its anchors", (via) => {
  const svid = shop.issue(storefront, via);
  for (const purpose of ["sslserver", "sslclient"]) {
    for (const trusted of [shop.root.certificatePem, createAnchors([shop.bundle, pay.bundle]).join("")]) {
      const { ok, output } = opensslVerify(svid.certificateChainPem, trusted, purpose);
      expect(output).toContain("OK");
      expect(ok).toBe(true);
    }
  }
});

test("openssl refuses a foreign identity: under anchors when the root signed it, always when an intermediate did", () => {
  const anchors = createAnchors([shop.bundle, pay.bundle]).join("");
  const union = shop.root.certificatePem + pay.root.certificatePem;
  const forgedByRoot = pay.issue(storefront, "root").certificateChainPem;
  const forgedByIntermediate = pay.issue(storefront, "intermediate").certificateChainPem;
  expect(opensslVerify(forgedByRoot, union, "sslclient").ok, "the union is the hole that anchors close").toBe(true);
  for (const chain of [forgedByRoot, forgedByIntermediate]) expect(opensslVerify(chain, anchors, "sslclient").output).toContain("permitted subtree violation");
  expect(opensslVerify(forgedByIntermediate, union, "sslclient").ok).toBe(false);
});

test("infrastructure certificates carry a common name, DNS names and addresses as engines look for them", () => {
  const svid = shop.issue("spiffe://shop.example/atoll/engine/etcd-1", "root", {
    commonName: "etcd-1",
    dnsNames: ["etcd-1.example", "localhost"],
    ipAddresses: ["127.0.0.1", "::1", "2001:db8::ff00:42:8329", "::ffff:10.1.2.3"],
  });
  const certificate = new X509Certificate(svid.certificateChainPem);
  expect(certificate.subject).toBe("CN=etcd-1");
  expect(certificate.checkHost("etcd-1.example")).toBe("etcd-1.example");
  for (const address of ["127.0.0.1", "::1", "2001:db8::ff00:42:8329", "::ffff:10.1.2.3"]) expect(certificate.checkIP(address)).toBe(address);
  expect(certificate.checkIP("127.0.0.2")).toBeUndefined();
  expect(opensslVerify(svid.certificateChainPem, shop.root.certificatePem, "sslserver").output).toContain("OK");
});

test("certificates begin 15 minutes early, never outlive their issuer, and have 16-byte serials that differ", () => {
  const keys = createKeyPair();
  const options = { spiffeId: parseSpiffeId(storefront), publicKey: keys.publicKey, nowMs };
  const svid = createX509Svid(issueSvid(shop.intermediateIssuer, { ...options, validityMs: 1e12 }), exportPrivateKeyPem(keys.privateKey));
  expect(svid.notBeforeMs).toBe(nowMs - notBeforeSkewMs);
  expect(svid.notAfterMs).toBe(shop.intermediateIssuer.notAfterMs);
  const serials = Array.from({ length: 50 }, () => new X509Certificate(Buffer.from(issueSvid(shop.rootIssuer, { ...options, validityMs: 1e6 })[0] as Uint8Array)).serialNumber);
  expect(new Set(serials).size).toBe(50);
  for (const serial of serials) expect(serial).toMatch(/^[4-7][0-9A-F]{31}$/);
});

test("dates from 2050 on are written as GeneralizedTime", () => {
  const late = createDomainFixture("late.example", Date.UTC(2055, 0, 1));
  expect(new X509Certificate(late.root.certificateDer).validFromDate.getTime()).toBe(Date.UTC(2055, 0, 1) - notBeforeSkewMs);
});

test("keys other than P-256 get no certificate and no request", () => {
  const other = [generateKeyPairSync("rsa", { modulusLength: 2048 }), generateKeyPairSync("ec", { namedCurve: "P-384" }), generateKeyPairSync("ed25519")];
  for (const { publicKey } of other) {
    expect(() => issueSvid(shop.rootIssuer, { spiffeId: parseSpiffeId(storefront), publicKey, validityMs: 1e6, nowMs })).toThrowError(/P-256/);
  }
});

test("our request is one that openssl verifies, and openssl's request is one that we read", () => {
  const keys = createKeyPair();
  const ours = spawnSync("openssl", ["req", "-verify", "-noout", "-inform", "DER", "-in", file("ours.csr", createCsr(keys))], { encoding: "utf8" });
  expect(ours.stdout + ours.stderr).toMatch(/verify OK/i);
  const keyPath = file("key.pem", exportPrivateKeyPem(keys.privateKey));
  const theirs = execFileSync("openssl", ["req", "-new", "-key", keyPath, "-outform", "DER", "-subj", "/CN=admin", "-addext", "subjectAltName=URI:spiffe://shop.example/atoll/admin/x"]);
  expect(publicKeyFromCsr(theirs).equals(keys.publicKey)).toBe(true);
});

/** A request with anything in it, properly signed. */
function hostileCsr(commonName: string, uris: readonly string[], dns: readonly string[], authority: boolean, keys: ReturnType<typeof createKeyPair>): Buffer {
  const names = [...uris.map((uri) => contextPrimitive(6, Buffer.from(uri, "latin1"))), ...dns.map((name) => contextPrimitive(2, Buffer.from(name, "latin1")))];
  const wanted: DerNode[] = [sequence(oid(oids.subjectAltName), octetString(writeDer(sequence(...names))))];
  if (authority) wanted.push(sequence(oid(oids.basicConstraints), octetString(Buffer.from("30030101ff", "hex"))));
  const request = sequence(oid("1.2.840.113549.1.9.14"), setOf(sequence(...wanted)));
  const subject = sequence(setOf(sequence(oid(oids.commonName), utf8String(commonName))));
  const info = sequence(integer(Uint8Array.of(0)), subject, readDer(exportSpki(keys.publicKey)), contextConstructed(0, request));
  return writeDer(sequence(info, sequence(oid(oids.ecdsaWithSha256)), bitString(sign("sha256", writeDer(info), keys.privateKey))));
}

test("whatever names a request carries, none of them reaches the certificate", () => {
  const keys = createKeyPair();
  const text = fc.oneof(fc.string({ maxLength: 40 }), fc.constantFrom("spiffe://pay.example/atoll/admin/x", "spiffe://shop.example/atoll/plane/global", "*", "\u0000"));
  fc.assert(
    fc.property(text, fc.array(text, { maxLength: 4 }), fc.array(text, { maxLength: 4 }), fc.boolean(), (commonName, uris, dns, authority) => {
      const publicKey = publicKeyFromCsr(hostileCsr(commonName, uris, dns, authority, keys));
      const [leaf] = issueSvid(shop.rootIssuer, { spiffeId: parseSpiffeId(storefront), publicKey, validityMs: 1e6, nowMs });
      const fields = readCertificate(leaf as Uint8Array);
      expect(fields.subjectEmpty).toBe(true);
      expect(readUriNames(fields).map(String)).toEqual([storefront]);
      const certificate = new X509Certificate(leaf as Uint8Array);
      expect(certificate.subjectAltName).toBe(`URI:${storefront}`);
      expect(certificate.ca).toBe(false);
    }),
    { numRuns: 60 },
  );
});

test("a request with any byte changed, or signed by another key, is refused with one code", () => {
  const keys = createKeyPair();
  const good = createCsr(keys);
  fc.assert(
    fc.property(fc.nat(good.length - 1), fc.integer({ min: 1, max: 255 }), (at, change) => {
      const bad = Buffer.from(good);
      bad.writeUInt8((bad.readUInt8(at)) ^ change, at);
      expect(() => publicKeyFromCsr(bad)).toThrowError(expect.objectContaining({ code: "ATOLL_CSR_INVALID" }));
    }),
    { numRuns: 300 },
  );
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 400 }), (noise) => {
      expect(() => publicKeyFromCsr(noise)).toThrowError(expect.objectContaining({ code: "ATOLL_CSR_INVALID" }));
    }),
  );
  const stolen = sequence(integer(Uint8Array.of(0)), sequence(), readDer(exportSpki(createKeyPair().publicKey)), contextConstructed(0));
  const forged = writeDer(sequence(stolen, sequence(oid(oids.ecdsaWithSha256)), bitString(sign("sha256", writeDer(stolen), keys.privateKey))));
  expect(() => publicKeyFromCsr(forged)).toThrowError(expect.objectContaining({ code: "ATOLL_CSR_INVALID" }));
  expect(() => publicKeyFromCsr(Buffer.alloc(20_000))).toThrowError(expect.objectContaining({ code: "ATOLL_CSR_INVALID" }));
});

test("leaves that break a rule of X.509-SVID are refused with the rule", () => {
  const keys = createKeyPair();
  const leafWith = (extensions: readonly DerNode[], subject?: string): Buffer =>
    signCertificate(
      { issuerName: shop.rootIssuer.name, subjectName: createName(subject), spkiDer: exportSpki(keys.publicKey), validity: createValidity(nowMs, nowMs + 1e6), extensions },
      shop.rootIssuer.privateKey,
    );
  const names = (...uris: readonly string[]): DerNode => sequence(oid(oids.subjectAltName), octetString(writeDer(sequence(...uris.map((uri) => contextPrimitive(6, Buffer.from(uri, "latin1")))))));
  const good = subjectAltNames({ uri: storefront }, true);
  const usage = keyUsage("leaf");
  const cases: readonly (readonly [readonly DerNode[], RegExp, string?])[] = [
    [[leafConstraints(), usage], /0 URI names|not critical/, "x"],
    [[leafConstraints(), usage, names(storefront, storefront)], /2 URI names/, "x"],
    [[leafConstraints(), usage, names(storefront)], /not critical/],
    [[leafConstraints(), usage, names("spiffe://shop.example")], /not the SPIFFE ID/, "x"],
    [[leafConstraints(), usage, names(`${storefront}\0.evil`)], /not the SPIFFE ID/, "x"],
    [[leafConstraints(), usage, names("https://shop.example/x")], /not the SPIFFE ID/, "x"],
    [[leafConstraints(), good], /key usage is missing/],
    [[leafConstraints(), keyUsage("authority"), good], /does not fit a leaf/],
    [[leafConstraints(), usage, usage, good], /stands twice/],
    [[leafConstraints(), usage, good, sequence(oid(oids.extendedKeyUsage), octetString(writeDer(sequence(oid(oids.clientAuth)))))], /both TLS client/],
  ];
  for (const [extensions, reason, subject] of cases) {
    expect(readSvidLeaf(leafWith(extensions, subject))).toEqual({ kind: "refused", reason: expect.stringMatching(reason) });
  }
  expect(readSvidLeaf(leafWith([leafConstraints(), usage, good]))).toEqual({ kind: "svid", spiffeId: storefront });
  expect(readSvidLeaf(shop.root.certificateDer)).toEqual({ kind: "refused", reason: expect.stringContaining("authority") });
});

test("any bytes, and any damage to a good leaf, are read or refused but never thrown on", () => {
  const leaf = parseChainPem(shop.issue(storefront).certificateChainPem)[0] as Buffer;
  fc.assert(fc.property(fc.uint8Array({ maxLength: 600 }), (noise) => readSvidLeaf(noise).kind === "refused"));
  fc.assert(
    fc.property(fc.nat(leaf.length - 1), fc.nat(255), (at, value) => {
      const damaged = Buffer.from(leaf);
      damaged.writeUInt8(value, at);
      expect(["svid", "refused"]).toContain(readSvidLeaf(damaged).kind);
    }),
    { numRuns: 500 },
  );
});

test("roots that could stand in another's way are left out of the anchors", () => {
  const impostor = { ...pay.bundle, x509Authorities: [...shop.bundle.x509Authorities, ...pay.bundle.x509Authorities] };
  const leaf = parseChainPem(pay.issue("spiffe://pay.example/x", "root").certificateChainPem)[0] as Buffer;
  const { roots, leftOut } = selectAnchorRoots([shop.bundle, impostor, { ...pay.bundle, x509Authorities: [leaf, Uint8Array.of(1, 2)] }]);
  expect(roots.map((root) => root.trustDomain)).toEqual(["shop.example", "pay.example"]);
  expect(leftOut.map((left) => left.reason)).toEqual([expect.stringContaining("same subject"), expect.stringContaining("not an authority"), expect.stringContaining("cannot be read")]);
  const { output } = opensslVerify(shop.issue(storefront).certificateChainPem, createAnchors([shop.bundle, impostor]).join(""), "sslclient");
  expect(output).toContain("OK");
});

test("a signing chain is trusted by the pinned authority, for its own identity and time, and for nothing else", () => {
  const trustDomain = parseTrustDomainName("shop.example");
  const authority = createAuthority({ trustDomain, validityMs: 1e11, nowMs });
  const other = createAuthority({ trustDomain, validityMs: 1e11, nowMs });
  const issuer = createIssuer(authority.certificatePem, authority.privateKeyPem);
  const keys = createKeyPair();
  const spiffeId = parseSpiffeId("spiffe://shop.example/atoll/signing/shop-eu");
  const chain = issueSigningCertificate(issuer, authority.certificateDer, { spiffeId, publicKey: keys.publicKey, validityMs: 1e9, nowMs });
  const authoritySha256 = spkiSha256(new X509Certificate(authority.certificateDer).publicKey);
  const expected = { authoritySha256, spiffeId, nowMs };
  const reasonOf = (actual: ReturnType<typeof verifySigningChain>): string => (actual.kind === "refused" ? actual.reason : "trusted");

  const verdict = verifySigningChain(chain, expected);
  expect(verdict.kind === "trusted" && verdict.publicKey.equals(keys.publicKey) && verdict.notAfterMs).toBe(nowMs + 1e9);
  expect(reasonOf(verifySigningChain(chain, { ...expected, authoritySha256: "00".repeat(32) }))).toContain("not the pinned one");
  expect(reasonOf(verifySigningChain([chain[0] as Uint8Array, other.certificateDer], expected))).toContain("not the pinned one");
  expect(reasonOf(verifySigningChain(chain, { ...expected, spiffeId: parseSpiffeId("spiffe://shop.example/atoll/signing/shop-us") }))).toContain("speaks for");
  expect(reasonOf(verifySigningChain(chain, { ...expected, spiffeId: parseSpiffeId("spiffe://pay.example/atoll/signing/shop-eu") }))).toContain("another trust domain");
  expect(reasonOf(verifySigningChain(chain, { ...expected, nowMs: nowMs + 1e9 + 1 }))).toContain("expired");
  expect(reasonOf(verifySigningChain(chain, { ...expected, nowMs: nowMs - notBeforeSkewMs - 1 }))).toContain("not valid yet");
  expect(reasonOf(verifySigningChain(chain.slice(0, 1), expected))).toContain("two certificates");
  const otherIssuer = createIssuer(other.certificatePem, other.privateKeyPem);
  const foreign = issueSigningCertificate(otherIssuer, authority.certificateDer, { spiffeId, publicKey: keys.publicKey, validityMs: 1e9, nowMs });
  expect(reasonOf(verifySigningChain(foreign, expected))).toContain("not issued by");
  const svid = issueSvid(issuer, { spiffeId, publicKey: keys.publicKey, validityMs: 1e9, nowMs });
  expect(reasonOf(verifySigningChain([svid[0] as Uint8Array, authority.certificateDer], expected))).toContain("not meant for signing");
  const tlsUse = opensslVerify(chainPem(chain.slice(0, 1)), authority.certificatePem, "sslclient");
  expect(tlsUse.ok, "a signing certificate opens no TLS connection").toBe(false);
});
