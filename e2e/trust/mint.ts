import { createIssuer, createRoot, type CertifiedKey, type Issuer } from "#federation/identity/authority.ts";
import { authorityConstraints, authorityKeyId, createKeyId, createName, createValidity, extendedKeyUsage, keyUsage, leafConstraints, permittedTrustDomain, signCertificate, subjectKeyId } from "#federation/identity/certificate-writer.ts";
import { oids, type DerNode } from "#federation/identity/der.ts";
import { createKeyPair, exportPrivateKeyPem, exportSpki } from "#federation/identity/key-pair.ts";
import { chainPem } from "#federation/identity/pem.ts";
import type { X509Svid } from "#federation/identity/svid.ts";
import type { SpiffeId } from "#federation/model/names.ts";
import { parseTrustDomainName } from "#federation/model/spiffe-id.ts";
import type { TrustBundle } from "#federation/model/trust-bundle.ts";
import { alternativeNames, domains, workloadPath, type ChainShape, type Claim, type Domain } from "./claims.ts";

const hourMs = 3_600_000;

/** One root of a trust domain. */
export interface DomainRoot {
  readonly domain: Domain;
  readonly root: CertifiedKey;
  readonly issuer: Issuer;
}

/** A fresh root, without anything below it. */
export function mintRoot(domain: Domain, nowMs: number): DomainRoot {
  const root = createRoot({ trustDomain: parseTrustDomainName(domain), validityMs: 1_000 * hourMs, nowMs });
  return { domain, root, issuer: createIssuer(root.certificatePem, root.privateKeyPem) };
}

/** A bundle of `roots`, all of one domain. */
export function bundleOf(domain: Domain, sequence: number, ...roots: readonly DomainRoot[]): TrustBundle {
  return { trustDomain: parseTrustDomainName(domain), sequence, refreshHintSeconds: 300, x509Authorities: roots.map(({ root }) => root.certificateDer) };
}

/** What someone shows who has `root` sign a leaf of `domain` that says `claim`. No check of Atoll's own issuing stands in the way. */
export function mintSvid({ root, domain, claim, nowMs }: { readonly root: DomainRoot; readonly domain: Domain; readonly claim: Claim; readonly nowMs: number }): X509Svid {
  const { names, chain } = claim;
  const [issuer, above] = issuerBelow(chain.between === "no root" ? mintRoot(root.domain, nowMs) : root, chain, nowMs);
  const keys = createKeyPair();
  const spkiDer = exportSpki(keys.publicKey);
  const [fromMs, toMs] = chain.validityMs ?? [-hourMs, hourMs];
  const extensions: DerNode[] = [chain.isAuthority === true ? authorityConstraints(undefined) : leafConstraints()];
  if (chain.keyUsage !== "none") extensions.push(chain.keyUsage ?? keyUsage("leaf"));
  if (chain.purposes !== "none") extensions.push(chain.purposes ?? extendedKeyUsage([oids.serverAuth, oids.clientAuth], false));
  extensions.push(subjectKeyId(createKeyId(spkiDer)), authorityKeyId(issuer.keyId), alternativeNames(names, domain, chain.isSanCritical ?? true));
  const leaf = signCertificate({ issuerName: issuer.name, subjectName: createName(chain.subject), spkiDer, validity: createValidity(nowMs + fromMs, nowMs + toMs, 0), extensions }, issuer.privateKey);
  return { spiffeId: `spiffe://${domain}${workloadPath}` as SpiffeId, certificateChainPem: chainPem([leaf, ...above]), privateKeyPem: exportPrivateKeyPem(keys.privateKey), notBeforeMs: nowMs + fromMs, notAfterMs: nowMs + toMs };
}

/** Who signs the leaf, and what is sent along with it. */
function issuerBelow({ domain, issuer }: DomainRoot, { between }: ChainShape, nowMs: number): readonly [Issuer, readonly Uint8Array[]] {
  if (between === "nothing") return [issuer, []];
  const constraint = between === "another domain's constraint" ? domains[(domains.indexOf(domain) + 1) % domains.length] : between === "no constraint" ? undefined : domain;
  const first = authorityBelow(issuer, nowMs, {
    constraint,
    basic: between === "no authority" || between === "a leaf" ? leafConstraints() : authorityConstraints(0),
    usage: keyUsage(between === "no certificate signing" || between === "a leaf" ? "leaf" : "authority"),
    validityMs: between === "expired" ? [-2 * hourMs, -hourMs] : [-hourMs, hourMs],
  });
  const last = between === "two at path length 0" ? authorityBelow(first, nowMs, { constraint, basic: authorityConstraints(0), usage: keyUsage("authority"), validityMs: [-hourMs, hourMs] }) : first;
  return [last, between === "not sent" ? [] : last.chain];
}

interface AuthorityShape {
  readonly constraint: Domain | undefined;
  readonly basic: DerNode;
  readonly usage: DerNode;
  readonly validityMs: readonly [number, number];
}

function authorityBelow(issuer: Issuer, nowMs: number, { constraint, basic, usage, validityMs: [fromMs, toMs] }: AuthorityShape): Issuer {
  const keys = createKeyPair();
  const spkiDer = exportSpki(keys.publicKey);
  const keyId = createKeyId(spkiDer);
  const name = createName(`intermediate ${keyId.toString("hex", 0, 8)}`);
  const constraints = constraint === undefined ? [] : [permittedTrustDomain(constraint)];
  const der = signCertificate({ issuerName: issuer.name, subjectName: name, spkiDer, validity: createValidity(nowMs + fromMs, nowMs + toMs, 0), extensions: [basic, usage, subjectKeyId(keyId), authorityKeyId(issuer.keyId), ...constraints] }, issuer.privateKey);
  return { privateKey: keys.privateKey, chain: [der, ...issuer.chain], name, keyId, notAfterMs: nowMs + toMs };
}
