import type { SpiffeId } from "#federation/model/names.ts";

/** Who calls, as the handshake or a verified token has proved it. */
export type Caller = CertificateCaller | TokenCaller;

export interface CertificateCaller {
  readonly kind: "certificate";
  readonly spiffeId: SpiffeId;
}

/** A JSON Web Token that a configured issuer signed. @see https://www.rfc-editor.org/rfc/rfc7519 */
export interface TokenCaller {
  readonly kind: "token";
  readonly issuer: string;
  readonly subject: string;
  /** The claims that are text, by name; what else a token carries, nobody decides by. */
  readonly claims: Readonly<Record<string, string>>;
}

/** Checks a bearer token. @throws {ATOLL_ADMIN_UNAUTHENTICATED} without the token's text. */
export type TokenAuthenticator = (token: string) => Promise<TokenCaller>;

/** The caller in one word, for logs and the audit trail: its SPIFFE ID, or `issuer#subject`. */
export function nameOfCaller(caller: Caller): string {
  return caller.kind === "certificate" ? caller.spiffeId : `${caller.issuer}#${caller.subject}`;
}
