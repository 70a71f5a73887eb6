import type { JoinPurpose } from "#federation/model/join-purpose.ts";
import { createJoinToken, joinTokenSeconds } from "./plane-routes.ts";
import { provisioningOperations, type ProvisioningBackend } from "./provisioning-operations.ts";
import { implement, type AdminRequest, type Operation } from "./route.ts";

/** Where tokens that work once are kept. */
export interface JoinTokenBackend {
  create(request: { readonly id: string; readonly secret: Uint8Array; readonly purpose: JoinPurpose; readonly lifeMs: number }, nowMs: number, signal: AbortSignal): Promise<{ readonly expiresAtMs: number }>;
}

/** What a plane's operations on tokens are made of. */
export interface JoinTokenOptions {
  readonly single: JoinTokenBackend;
  readonly many: ProvisioningBackend;
  /** A new token that leads to this plane: its id and secret, and the whole of it as text. */
  readonly mint: (uses: "one" | "many") => { readonly id: string; readonly secret: Uint8Array; readonly text: string };
  /** Throws unless the caller may make, and so revoke, a token for `purpose`. */
  readonly judge: (purpose: JoinPurpose, demand: AdminRequest<never, never, never>["demand"]) => void;
  /** Throws when no token for `purpose` is of use at this plane. */
  readonly checkPurpose: (purpose: JoinPurpose) => void;
  readonly nowMs: () => number;
}

/** The operations of a plane on tokens by which others join it: those that work once, and those for many instances. */
export function joinTokenOperations({ single, many, mint, judge, checkPurpose, nowMs }: JoinTokenOptions): readonly Operation[] {
  return [
    implement(createJoinToken, async ({ body, demand }, signal) => {
      judge(body.purpose, demand);
      checkPurpose(body.purpose);
      const { id, secret, text } = mint("one");
      const lifeMs = (body.lifeSeconds ?? joinTokenSeconds.usual) * 1_000;
      const { expiresAtMs } = await single.create({ id, secret, purpose: body.purpose, lifeMs }, nowMs(), signal);
      return { status: 201, body: { id, token: text, purpose: body.purpose, expiresAt: new Date(expiresAtMs).toISOString() }, change: { outcome: "created", kind: "JoinToken", id } };
    }),
    ...provisioningOperations({ tokens: many, mint: () => mint("many"), judge, checkPurpose, nowMs }),
  ];
}
