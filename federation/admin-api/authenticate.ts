import { TLSSocket } from "node:tls";
import type { FastifyRequest } from "fastify";
import type { SpiffeId } from "#federation/model/names.ts";
import { AtollError } from "#federation/runtime/errors.ts";
import type { Caller, TokenAuthenticator } from "./caller.ts";
import { peerSpiffeId } from "./peer.ts";

/** By connection, which keeps the certificate that it was made with: to read it anew is a fortieth of what a write costs. */
const identities = new WeakMap<TLSSocket, SpiffeId>();

function shownOn(socket: TLSSocket): SpiffeId | undefined {
  const known = identities.get(socket) ?? peerSpiffeId(socket.getPeerX509Certificate()?.subjectAltName);
  if (known !== undefined) identities.set(socket, known);
  return known;
}

/**
 * Who calls. A token decides where one is given, and a bad one is never made up for by a certificate: whoever sends it means it.
 * @throws {ATOLL_ADMIN_UNAUTHENTICATED | ATOLL_ADMIN_FORBIDDEN | ATOLL_CONFIG_INVALID}
 * @see https://www.rfc-editor.org/rfc/rfc6750#section-2.1
 */
export async function callerOf(incoming: FastifyRequest, authenticate: TokenAuthenticator | undefined): Promise<Caller> {
  const { authorization } = incoming.headers;
  if (authorization !== undefined) {
    const token = /^bearer +(\S+) *$/i.exec(authorization)?.[1];
    if (token === undefined) throw new AtollError("ATOLL_ADMIN_UNAUTHENTICATED", "the Authorization header is understood as Bearer and a token");
    if (authenticate === undefined) throw new AtollError("ATOLL_ADMIN_UNAUTHENTICATED", "this plane takes no tokens: its configuration names no issuer (access.tokens)");
    return await authenticate(token);
  }
  const { socket } = incoming.raw;
  if (!(socket instanceof TLSSocket) || !socket.authorized) {
    throw new AtollError("ATOLL_ADMIN_UNAUTHENTICATED", "neither a client certificate of this federation nor a bearer token was shown");
  }
  const spiffeId = shownOn(socket);
  if (spiffeId === undefined) throw new AtollError("ATOLL_ADMIN_FORBIDDEN", "the client's certificate carries no single SPIFFE ID");
  return { kind: "certificate", spiffeId };
}
