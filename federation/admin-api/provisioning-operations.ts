import type { JoinPurpose } from "#federation/model/join-purpose.ts";
import type { ProvisioningUse } from "#federation/model/provisioning-token.ts";
import { provisioningRoutes, type ProvisioningTokenView } from "./provisioning-routes.ts";
import { implement, type AdminRequest, type Operation } from "./route.ts";

/** A stored token, as far as it is shown. */
interface StoredToken {
  readonly id: string;
  readonly purpose: JoinPurpose;
  readonly usesMax: number;
  readonly uses: readonly ProvisioningUse[];
  readonly cidrs: readonly string[];
  readonly createdAtMs: number;
  readonly expiresAtMs: number;
  readonly isRevoked: boolean;
}

/** Where provisioning tokens are kept. */
export interface ProvisioningBackend {
  create(request: { readonly id: string; readonly secret: Uint8Array; readonly purpose: JoinPurpose; readonly usesMax: number; readonly lifeMs: number; readonly cidrs: readonly string[] }, nowMs: number, signal: AbortSignal): Promise<StoredToken>;
  list(signal: AbortSignal): Promise<readonly StoredToken[]>;
  get(id: string, signal: AbortSignal): Promise<StoredToken>;
  revoke(id: string, signal: AbortSignal): Promise<boolean>;
}

/** The operations of a plane on tokens for many instances. */
export function provisioningOperations(options: {
  readonly tokens: ProvisioningBackend;
  /** A new token that leads to this plane: its id and secret, and the whole of it as text. */
  readonly mint: () => { readonly id: string; readonly secret: Uint8Array; readonly text: string };
  /** Throws unless the caller may make, and so revoke, a token for `purpose`. */
  readonly judge: (purpose: JoinPurpose, demand: AdminRequest<never, never, never>["demand"]) => void;
  /** Throws when no token for `purpose` is of use at this plane. */
  readonly checkPurpose: (purpose: JoinPurpose) => void;
  readonly nowMs: () => number;
}): readonly Operation[] {
  const { tokens, mint, judge, checkPurpose, nowMs } = options;
  return [
    implement(provisioningRoutes.createProvisioningToken, async ({ body, demand }, signal) => {
      judge(body.purpose, demand);
      checkPurpose(body.purpose);
      const { id, secret, text } = mint();
      const stored = await tokens.create({ id, secret, purpose: body.purpose, usesMax: body.uses, lifeMs: body.lifeSeconds * 1_000, cidrs: body.cidrs ?? [] }, nowMs(), signal);
      return {
        status: 201,
        body: { id, token: text, purpose: stored.purpose, expiresAt: new Date(stored.expiresAtMs).toISOString() },
        change: { outcome: "created", kind: "ProvisioningToken", id },
      };
    }),
    implement(provisioningRoutes.listProvisioningTokens, async (_request, signal) => {
      const now = nowMs();
      return { body: { items: (await tokens.list(signal)).filter((token) => token.expiresAtMs > now).map(viewOf) } };
    }),
    implement(provisioningRoutes.revokeProvisioningToken, async ({ params, demand }, signal) => {
      judge((await tokens.get(params.id, signal)).purpose, demand);
      const isChanged = await tokens.revoke(params.id, signal);
      return { body: viewOf(await tokens.get(params.id, signal)), change: { outcome: isChanged ? "done" : "unchanged", kind: "ProvisioningToken", id: params.id } };
    }),
  ];
}

function viewOf({ id, purpose, usesMax, uses, cidrs, createdAtMs, expiresAtMs, isRevoked }: StoredToken): ProvisioningTokenView {
  return {
    id,
    purpose,
    usesMax,
    uses: uses.map(({ keySha256, address, atMs }) => ({ keySha256, address, at: new Date(atMs).toISOString() })),
    cidrs: [...cidrs],
    createdAt: new Date(createdAtMs).toISOString(),
    expiresAt: new Date(expiresAtMs).toISOString(),
    revoked: isRevoked,
  };
}
