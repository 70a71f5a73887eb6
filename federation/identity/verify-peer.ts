import type { TLSSocket } from "node:tls";
import type { SpiffeId } from "#federation/model/names.ts";
import { readSvidLeaf, type ReadLeaf } from "./certificate-reader.ts";
import type { AcceptIdentity } from "./tls-options.ts";

/** Who stands at the other end of a TLS connection. */
export type PeerVerdict = { readonly kind: "accepted"; readonly spiffeId: SpiffeId } | { readonly kind: "refused"; readonly reason: string };

/**
 * Judges the peer of a finished handshake that ran under constrained anchors: the handshake proved that its certificate belongs
 * to the trust domain that it claims, this reads the claim from the leaf's DER and asks `accept`. Once for each connection, not
 * for each request; who has many from few peers passes `LeafReadings`.
 */
export function verifyPeer(socket: TLSSocket, accept: AcceptIdentity, readLeaf: ReadLeaf = readSvidLeaf): PeerVerdict {
  if (!socket.authorized) return { kind: "refused", reason: "the certificate chain is not trusted" };
  const certificate = socket.getPeerX509Certificate();
  if (certificate === undefined) return { kind: "refused", reason: "the peer sent no certificate" };
  const reading = readLeaf(certificate.raw);
  if (reading.kind === "refused") return reading;
  if (!accept(reading.spiffeId)) return { kind: "refused", reason: `${reading.spiffeId} is not accepted here` };
  return { kind: "accepted", spiffeId: reading.spiffeId };
}

/**
 * Why a handshake failed, for logs and counters, from a server's `tlsClientError`. Node reports a refused client certificate as a
 * reset; the verification's own code (`CERT_HAS_EXPIRED`, …) stands on
 * the socket. `UNSPECIFIED` is what Node makes of a breach of name constraints: one trust domain claimed an identity of another.
 */
export function handshakeFault(error: Error, socket: TLSSocket): string {
  // Typed as an Error, but Node puts the verification's code there.
  const judged: unknown = socket.authorizationError;
  if (typeof judged === "string") return judged;
  return "code" in error ? String(error.code) : error.message;
}
