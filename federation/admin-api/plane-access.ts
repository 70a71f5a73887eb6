import { AtollError, isAtollError } from "#federation/runtime/errors.ts";
import { grantsOf, type Grant } from "./access.ts";
import type { AccessConfig } from "./access-config.ts";
import type { Caller, TokenAuthenticator } from "./caller.ts";

/** How a plane's admin API knows callers and their roles. */
export interface PlaneAccess {
  readonly grantsOf: (caller: Caller) => readonly Grant[];
  readonly authenticate?: TokenAuthenticator;
}

/** Verifies a token of the configured issuer. @throws {ATOLL_TOKEN_REFUSED | ATOLL_CONFIG_INVALID} */
export type TokenVerifier = (token: string) => Promise<Readonly<Record<string, unknown>> & { readonly sub: string }>;

/** What `config` makes of callers; `createVerifier` is asked for one where tokens are taken. */
export function createPlaneAccess(config: AccessConfig, createVerifier: (tokens: NonNullable<AccessConfig["tokens"]>) => TokenVerifier): PlaneAccess {
  const { bindings, tokens } = config;
  if (tokens === undefined) return { grantsOf: (caller) => grantsOf(caller, bindings) };
  const verify = createVerifier(tokens);
  return {
    grantsOf: (caller) => grantsOf(caller, bindings),
    async authenticate(token) {
      try {
        const payload = await verify(token);
        const claims = Object.fromEntries(Object.entries(payload).flatMap(([name, value]) => (typeof value === "string" ? [[name, value]] : [])));
        return { kind: "token", issuer: tokens.issuer, subject: payload.sub, claims };
      } catch (error) {
        if (!isAtollError(error, "ATOLL_TOKEN_REFUSED")) throw error;
        throw new AtollError("ATOLL_ADMIN_UNAUTHENTICATED", error.message, { cause: error });
      }
    },
  };
}
