import { constants } from "node:crypto";
import type { ConnectionOptions, PeerCertificate, SecureContextOptions, TlsOptions } from "node:tls";
import { AtollError } from "#federation/runtime/errors.ts";
import type { SpiffeId, TrustDomainName } from "#federation/model/names.ts";
import { trustDomainOf } from "#federation/model/spiffe-id.ts";
import type { TrustBundle } from "#federation/model/trust-bundle.ts";
import { createAnchors } from "./anchors.ts";
import { readSvidLeaf, type ReadLeaf } from "./certificate-reader.ts";
import { certificatePem } from "./pem.ts";
import type { X509Svid } from "./svid.ts";

/** What one side of a mutual TLS connection needs: who it is, and the constrained anchors that it believes. */
export interface TlsMaterial {
  readonly svid: X509Svid;
  /** From `createAnchors`; never plain roots. */
  readonly anchors: readonly string[];
}

/** Judges an authenticated identity; pure and quick, since handshakes wait for it. */
export type AcceptIdentity = (spiffeId: SpiffeId) => boolean;

/** Material of `svid` and `bundles`, with fresh anchors. Keep it until either changes. */
export function createTlsMaterial(svid: X509Svid, bundles: readonly TrustBundle[]): TlsMaterial {
  return { svid, anchors: createAnchors(bundles) };
}

/** Accepts exactly these identities. */
export function acceptExactly(expected: readonly SpiffeId[]): AcceptIdentity {
  const ids = new Set(expected);
  return (spiffeId) => ids.has(spiffeId);
}

/** Accepts every identity of one trust domain. */
export function acceptTrustDomain(trustDomain: TrustDomainName): AcceptIdentity {
  return (spiffeId) => trustDomainOf(spiffeId) === trustDomain;
}

/**
 * Secure context of a server: TLS 1.3 only and without resumption, so that every connection is judged by the anchors of its own
 * time. Give it to `tls.createServer` with `createServerTlsOptions`, and to `server.setSecureContext` when the material changes.
 * A server for first contact passes its root as `presentedRoot`: callers that hold only the root's hash find it in the chain.
 */
export function createServerContextOptions(material: TlsMaterial, presentedRoot?: Uint8Array): SecureContextOptions {
  return {
    key: material.svid.privateKeyPem,
    cert: material.svid.certificateChainPem + (presentedRoot === undefined ? "" : certificatePem(presentedRoot)),
    ca: [...material.anchors],
    minVersion: "TLSv1.3",
    // No tickets that hold state; the empty ones that remain tell a TLS 1.3 client that it was accepted.
    secureOptions: constants.SSL_OP_NO_TICKET,
  };
}

/** Options of `tls.createServer` or `https.createServer`. With `clients: "required"` a client without an acceptable certificate fails the handshake. */
export function createServerTlsOptions(
  material: TlsMaterial,
  options: { readonly clients: "required" | "none"; readonly alpn?: readonly string[]; readonly presentedRoot?: Uint8Array },
): TlsOptions {
  return {
    ...createServerContextOptions(material, options.presentedRoot),
    requestCert: options.clients === "required",
    rejectUnauthorized: options.clients === "required",
    ...(options.alpn === undefined ? {} : { ALPNProtocols: [...options.alpn] }),
  };
}

/** How a client proves itself and whom it expects. */
export interface ClientTlsOptions {
  /** Absent at first contact, where a token proves the caller. */
  readonly svid?: X509Svid;
  /** Anchors of the one trust domain that the server has to belong to. */
  readonly anchors: readonly string[];
  /** Server name to send (SNI); it routes and is never believed. Absent: none is sent. */
  readonly servername?: string;
  readonly accept: AcceptIdentity;
  readonly alpn?: readonly string[];
}

/** Options of `tls.connect` or `https.request`: TLS 1.3, the server's SPIFFE ID in place of its host name, no resumption. */
export function createClientTlsOptions(options: ClientTlsOptions): ConnectionOptions {
  return {
    ...(options.svid === undefined ? {} : { key: options.svid.privateKeyPem, cert: options.svid.certificateChainPem }),
    ca: [...options.anchors],
    minVersion: "TLSv1.3",
    servername: options.servername ?? "",
    rejectUnauthorized: true,
    ...(options.alpn === undefined ? {} : { ALPNProtocols: [...options.alpn] }),
    checkServerIdentity: createServerIdentityCheck(options.accept),
  };
}

/** A `checkServerIdentity` that reads the leaf's DER and ignores the host name. */
export function createServerIdentityCheck(
  accept: AcceptIdentity,
  readLeaf: ReadLeaf = readSvidLeaf,
): (hostname: string, certificate: Pick<PeerCertificate, "raw">) => Error | undefined {
  return (_hostname, certificate) => {
    const reading = readLeaf(certificate.raw);
    if (reading.kind === "refused") return new AtollError("ATOLL_PEER_UNVERIFIED", reading.reason);
    if (!accept(reading.spiffeId)) return new AtollError("ATOLL_PEER_UNVERIFIED", `the server is ${reading.spiffeId}, who is not expected here`);
    return undefined;
  };
}
