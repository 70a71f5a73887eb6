import { X509Certificate, type KeyObject } from "node:crypto";
import { AtollError } from "#federation/runtime/errors.ts";
import type { TrustDomainName } from "#federation/model/names.ts";
import { isSpiffeId, pathOf, trustDomainOf } from "#federation/model/spiffe-id.ts";
import { isAuthority, readCertificate, readSubjectKeyId, readUriNames } from "./certificate-reader.ts";
import {
  authorityConstraints,
  authorityKeyId,
  createKeyId,
  createName,
  createValidity,
  keyUsage,
  permittedTrustDomain,
  signCertificate,
  subjectAltNames,
  subjectKeyId,
} from "./certificate-writer.ts";
import { readDer, type DerNode } from "./der.ts";
import { createKeyPair, exportPrivateKeyPem, exportSpki, isP256, parseKeyPair } from "./key-pair.ts";
import { certificatePem, parseChainPem } from "./pem.ts";

/** What a new self-signed certificate is for, and from when it counts. */
export interface SelfSignedOptions {
  readonly trustDomain: TrustDomainName;
  readonly validityMs: number;
  readonly nowMs: number;
}

/** A certificate with its private key. A secret: the key belongs into a 0600 file. */
export interface CertifiedKey {
  readonly certificateDer: Buffer;
  readonly certificatePem: string;
  readonly privateKeyPem: string;
}

/** Who signs certificates: an authority's key and its chain. Made once, used for every issue. */
export interface Issuer {
  readonly privateKey: KeyObject;
  /** DER, own certificate first; what a leaf has to send along. Empty for a root, which is never sent. */
  readonly chain: readonly Uint8Array[];
  readonly name: DerNode;
  readonly keyId: Buffer;
  /** Nothing that it issues outlives it. */
  readonly notAfterMs: number;
}

/** Makes the root of a trust domain: it signs intermediates and nothing else, and has no path length limit. */
export function createRoot(options: SelfSignedOptions): CertifiedKey {
  return createSelfSigned(options, "root", undefined);
}

/** Makes the authority of a trust domain: the key, apart from the root, that issues signing certificates and signs approvals. */
export function createAuthority(options: SelfSignedOptions): CertifiedKey {
  return createSelfSigned(options, "authority", 0);
}

function createSelfSigned(options: SelfSignedOptions, role: "root" | "authority", pathLength: number | undefined): CertifiedKey {
  const keys = createKeyPair();
  const spkiDer = exportSpki(keys.publicKey);
  const keyId = createKeyId(spkiDer);
  const name = authorityName(options.trustDomain, role, keyId);
  const certificateDer = signCertificate(
    {
      issuerName: name,
      subjectName: name,
      spkiDer,
      validity: createValidity(options.nowMs, options.nowMs + options.validityMs),
      extensions: [
        authorityConstraints(pathLength),
        keyUsage("authority"),
        subjectKeyId(keyId),
        authorityKeyId(keyId),
        subjectAltNames({ uri: `spiffe://${options.trustDomain}` }, false),
      ],
    },
    keys.privateKey,
  );
  return { certificateDer, certificatePem: certificatePem(certificateDer), privateKeyPem: exportPrivateKeyPem(keys.privateKey) };
}

/** The key id in the name keeps two roots of one domain, or of two domains, from ever being taken for each other. */
function authorityName(trustDomain: TrustDomainName, role: string, keyId: Buffer): DerNode {
  const label = trustDomain.length > 32 ? `${trustDomain.slice(0, 31)}~` : trustDomain;
  return createName(`${label} ${role} ${keyId.toString("hex", 0, 8)}`);
}

/**
 * Prepares an authority for issuing. `chainPem` begins with its own certificate and may go on to, but need not include, the root.
 * @throws {ATOLL_CERTIFICATE_INVALID} when the key does not belong to the certificate, or the certificate is no authority.
 */
export function createIssuer(authorityChainPem: string, privateKeyPem: string): Issuer {
  const chain = parseChainPem(authorityChainPem);
  const { privateKey } = parseKeyPair(privateKeyPem);
  const own = chain[0] as Buffer;
  const certificate = parseX509(own);
  const fields = readCertificate(own);
  if (!isAuthority(fields)) throw new AtollError("ATOLL_CERTIFICATE_INVALID", "the issuer's certificate is not an authority");
  if (!certificate.checkPrivateKey(privateKey)) throw new AtollError("ATOLL_CERTIFICATE_INVALID", "the issuer's key does not belong to its certificate");
  return {
    privateKey,
    chain: chain.filter((der) => !isSelfIssued(der)),
    name: readDer(fields.subjectDer),
    keyId: readSubjectKeyId(fields) ?? createKeyId(fields.spkiDer),
    notAfterMs: certificate.validToDate.getTime(),
  };
}

/** What an intermediate authority is issued for. `name` (usually the cluster's) shows in its subject. */
export interface IntermediateOptions {
  readonly trustDomain: TrustDomainName;
  readonly name: string;
  readonly publicKey: KeyObject;
  readonly validityMs: number;
  readonly nowMs: number;
}

/**
 * Issues an intermediate that can sign leaves of `trustDomain` only (critical name constraint) and no further authority.
 * Returns its chain in DER, own certificate first, without the root.
 */
export function issueIntermediate(issuer: Issuer, options: IntermediateOptions): readonly Uint8Array[] {
  assertP256(options.publicKey);
  const spkiDer = exportSpki(options.publicKey);
  const keyId = createKeyId(spkiDer);
  const certificate = signCertificate(
    {
      issuerName: issuer.name,
      subjectName: createName(`${options.name.slice(0, 32)} intermediate ${keyId.toString("hex", 0, 8)}`),
      spkiDer,
      validity: createValidity(options.nowMs, Math.min(options.nowMs + options.validityMs, issuer.notAfterMs)),
      extensions: [
        authorityConstraints(0),
        keyUsage("authority"),
        subjectKeyId(keyId),
        authorityKeyId(issuer.keyId),
        subjectAltNames({ uri: `spiffe://${options.trustDomain}` }, false),
        permittedTrustDomain(options.trustDomain),
      ],
    },
    issuer.privateKey,
  );
  return [certificate, ...issuer.chain];
}

/**
 * The trust domain that an authority certificate names by its one URI name without a path.
 * The claim of the certificate itself: believe it only of a certificate that is pinned or otherwise trusted.
 * @throws {ATOLL_CERTIFICATE_INVALID} when it is no authority or names no trust domain.
 */
export function trustDomainOfAuthority(der: Uint8Array): TrustDomainName {
  const fields = readCertificate(der);
  const names = readUriNames(fields);
  const text = names[0]?.toString("latin1") ?? "";
  if (!isAuthority(fields) || names.length !== 1 || !isSpiffeId(text) || pathOf(text) !== "") {
    throw new AtollError("ATOLL_CERTIFICATE_INVALID", "the certificate is not the authority of a trust domain");
  }
  return trustDomainOf(text);
}

/** Reads a certificate natively. @throws {ATOLL_CERTIFICATE_INVALID} */
export function parseX509(der: Uint8Array): X509Certificate {
  try {
    return new X509Certificate(der);
  } catch (error) {
    throw new AtollError("ATOLL_CERTIFICATE_INVALID", "the certificate cannot be read", { cause: error });
  }
}

/** @throws {ATOLL_CERTIFICATE_INVALID} unless `key` is a P-256 key. */
export function assertP256(key: KeyObject): void {
  if (!isP256(key)) throw new AtollError("ATOLL_CERTIFICATE_INVALID", "certificates are issued for P-256 keys only");
}

/** True when a certificate's subject is its own issuer, as a root's is. @throws {ATOLL_CERTIFICATE_INVALID} */
export function isSelfIssued(der: Uint8Array): boolean {
  const fields = readCertificate(der);
  return fields.subjectDer.equals(fields.issuerDer);
}
