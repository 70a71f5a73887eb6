import type { KeyObject } from "node:crypto";
import { AtollError } from "#federation/runtime/errors.ts";
import type { SpiffeId } from "#federation/model/names.ts";
import { parseSpiffeId, pathOf } from "#federation/model/spiffe-id.ts";
import { assertP256, parseX509, type Issuer } from "./authority.ts";
import { readSvidLeaf } from "./certificate-reader.ts";
import {
  authorityKeyId,
  createKeyId,
  createName,
  createValidity,
  extendedKeyUsage,
  keyUsage,
  leafConstraints,
  signCertificate,
  subjectAltNames,
  subjectKeyId,
} from "./certificate-writer.ts";
import { oids, type DerNode } from "./der.ts";
import { exportSpki, parseKeyPair } from "./key-pair.ts";
import { chainPem } from "./pem.ts";
import type { X509Svid } from "./svid.ts";

/** What a leaf certificate says. Every field comes from the issuer's own knowledge, never from a request. */
export interface LeafOptions {
  readonly spiffeId: SpiffeId;
  readonly publicKey: KeyObject;
  readonly validityMs: number;
  readonly nowMs: number;
  /** How far its start lies before `nowMs`, for clocks that are behind; a quarter of an hour unless told. */
  readonly skewMs?: number;
}

/** An SVID, with the names that etcd and NATS need on infrastructure certificates. */
export interface SvidOptions extends LeafOptions {
  readonly commonName?: string;
  readonly dnsNames?: readonly string[];
  readonly ipAddresses?: readonly string[];
}

/**
 * Issues an X.509-SVID and returns its chain in DER: leaf, then the issuer's intermediates, without the root. It ends with the
 * issuer at the latest.
 * @throws {ATOLL_CERTIFICATE_INVALID} for keys that are not P-256, ids without a path, and names that are none.
 */
export function issueSvid(issuer: Issuer, options: SvidOptions): readonly Uint8Array[] {
  const names = subjectAltNames(
    { uri: options.spiffeId, dnsNames: options.dnsNames ?? [], ipAddresses: options.ipAddresses ?? [] },
    options.commonName === undefined,
  );
  return issueLeaf(issuer, options, options.commonName, extendedKeyUsage([oids.serverAuth, oids.clientAuth], false), names);
}

/**
 * Issues a signing certificate for replication objects and returns its chain in DER: leaf, then `authority`'s own certificate.
 * Its one critical purpose is code signing, so that no TLS endpoint takes it for an SVID.
 */
export function issueSigningCertificate(issuer: Issuer, authorityDer: Uint8Array, options: LeafOptions): readonly Uint8Array[] {
  const names = subjectAltNames({ uri: options.spiffeId }, true);
  const [leaf] = issueLeaf(issuer, options, undefined, extendedKeyUsage([oids.codeSigning], true), names);
  return [leaf as Uint8Array, authorityDer];
}

function issueLeaf(issuer: Issuer, options: LeafOptions, commonName: string | undefined, purposes: DerNode, names: DerNode): readonly Uint8Array[] {
  assertP256(options.publicKey);
  // Parsed again although branded: this is the last door before a signature.
  if (pathOf(parseSpiffeId(options.spiffeId)) === "") throw new AtollError("ATOLL_CERTIFICATE_INVALID", "a leaf's SPIFFE ID needs a path");
  const spkiDer = exportSpki(options.publicKey);
  const certificate = signCertificate(
    {
      issuerName: issuer.name,
      subjectName: createName(commonName),
      spkiDer,
      validity: createValidity(options.nowMs, Math.min(options.nowMs + options.validityMs, issuer.notAfterMs), options.skewMs),
      extensions: [leafConstraints(), keyUsage("leaf"), purposes, subjectKeyId(createKeyId(spkiDer)), authorityKeyId(issuer.keyId), names],
    },
    issuer.privateKey,
  );
  return [certificate, ...issuer.chain];
}

/**
 * Puts an issued chain and its key together. What a plane answered is untrusted until the handshake that uses it, but a chain
 * that does not fit the key, or breaks the rules for leaves, is refused here.
 * @throws {ATOLL_CERTIFICATE_INVALID}
 */
export function createX509Svid(chain: readonly Uint8Array[], privateKeyPem: string): X509Svid {
  const [leaf] = chain;
  if (leaf === undefined) throw new AtollError("ATOLL_CERTIFICATE_INVALID", "the certificate chain is empty");
  const reading = readSvidLeaf(leaf);
  if (reading.kind === "refused") throw new AtollError("ATOLL_CERTIFICATE_INVALID", reading.reason);
  const certificate = parseX509(leaf);
  const { privateKey } = parseKeyPair(privateKeyPem);
  if (!certificate.checkPrivateKey(privateKey)) throw new AtollError("ATOLL_CERTIFICATE_INVALID", "the certificate belongs to another key");
  for (const above of chain.slice(1)) parseX509(above);
  return {
    spiffeId: reading.spiffeId,
    certificateChainPem: chainPem(chain),
    privateKeyPem,
    notBeforeMs: certificate.validFromDate.getTime(),
    notAfterMs: certificate.validToDate.getTime(),
  };
}
