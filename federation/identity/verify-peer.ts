import type { TLSSocket } from "node:tls";
import type { SpiffeId } from "#federation/model/names.ts";
import { readSvidLeaf } from "./certificate-reader.ts";
import type { AcceptIdentity } from "./tls-options.ts";

/** Who stands at the other end of a TLS connection. */
export type PeerVerdict = { readonly kind: "accepted"; readonly spiffeId: SpiffeId } | { readonly kind: "refused"; readonly reason: string };

/**
 * Judges the peer of a finished handshake that ran under constrained anchors: the handshake proved that its certificate belongs
 * to the trust domain that it claims, this reads the claim from the leaf's DER and asks `accept`. About 0.1 ms: once for each
 * connection, not for each request.
 */
export function verifyPeer(socket: TLSSocket, accept: AcceptIdentity): PeerVerdict {
  if (!socket.authorized) return { kind: "refused", reason: "the certificate chain is not trusted" };
  const certificate = socket.getPeerX509Certificate();
  if (certificate === undefined) return { kind: "refused", reason: "the peer sent no certificate" };
  const reading = readSvidLeaf(certificate.raw);
  if (reading.kind === "refused") return reading;
  if (!accept(reading.spiffeId)) return { kind: "refused", reason: `${reading.spiffeId} is not accepted here` };
  return { kind: "accepted", spiffeId: reading.spiffeId };
}
