import type { KeyObject } from "node:crypto";
import { authorityPinOf } from "#federation/identity/authority-pin.ts";
import { verifySigningChain } from "#federation/identity/signing-chain.ts";
import { globalOrigin } from "#federation/model/replicated-object.ts";
import { createSpiffeId, parseTrustDomainName } from "#federation/model/spiffe-id.ts";
import type { Clock } from "#federation/runtime/clock.ts";
import { AtollError } from "#federation/runtime/errors.ts";
import type { SigningOrigin, VerifyChain } from "#federation/wire/signed-object.ts";

export interface ChainVerifierOptions {
  readonly federation: string;
  /** Certificate (PEM) of the authority that is believed for `trustDomain`, or undefined for one that is not known here. */
  readonly authorityOf: (trustDomain: string) => string | undefined;
  readonly clock: Clock;
}

interface Remembered {
  readonly publicKey: KeyObject;
  readonly authoritySha256: string;
  readonly notAfterMs: number;
}

/** Chains remembered, and authorities' pins: a certificate is slow to read, and each object is held against one. A federation has one per cluster and a few more while keys are renewed. */
const rememberedMax = 1_024;

/**
 * Who may sign objects as whom: the chain of `origin` must end in the pinned authority of the trust domain that origin
 * belongs to, and name exactly that origin. A chain is judged once for as long as its authority stands.
 */
export function createChainVerifier(options: ChainVerifierOptions): VerifyChain {
  const remembered = new Map<string, Remembered>();
  const pins = new Map<string, string>();
  return (chain, origin) => {
    const authorityPem = authorityFor(options, origin);
    const authoritySha256 = pins.get(authorityPem) ?? authorityPinOf(authorityPem);
    if (pins.size >= rememberedMax) pins.clear();
    pins.set(authorityPem, authoritySha256);
    const key = `${origin.trustDomain}/${origin.origin}/${chain.map(textOf).join("")}`;
    const nowMs = options.clock.nowMs();
    const known = remembered.get(key);
    if (known !== undefined && known.authoritySha256 === authoritySha256 && nowMs < known.notAfterMs) return known.publicKey;
    const spiffeId = createSpiffeId(parseTrustDomainName(origin.trustDomain), "atoll", "signing", origin.origin);
    const verdict = verifySigningChain(chain, { authoritySha256, spiffeId, nowMs });
    if (verdict.kind === "refused") throw new AtollError("ATOLL_SIGNATURE_INVALID", `${origin.origin} of ${origin.trustDomain}: ${verdict.reason}`);
    if (remembered.size >= rememberedMax) remembered.clear();
    remembered.set(key, { publicKey: verdict.publicKey, authoritySha256, notAfterMs: verdict.notAfterMs });
    return verdict.publicKey;
  };
}

/** No other chain has the same texts in a row, since each says how long it is. As the bytes are, since each heartbeat and each object asks. */
function textOf(der: Uint8Array): string {
  return `${der.length}:${Buffer.from(der.buffer, der.byteOffset, der.length).toString("latin1")}`;
}

function authorityFor({ federation, authorityOf }: ChainVerifierOptions, origin: SigningOrigin): string {
  if (origin.federation !== federation) throw new AtollError("ATOLL_SIGNATURE_INVALID", `an object of another federation: ${origin.federation}`);
  // Only the global plane speaks for the federation's own trust domain, and it for no other.
  if ((origin.origin === globalOrigin) !== (origin.trustDomain === federation)) {
    throw new AtollError("ATOLL_SIGNATURE_INVALID", `${origin.origin} does not speak for ${origin.trustDomain}`);
  }
  const authorityPem = authorityOf(origin.trustDomain);
  if (authorityPem === undefined) throw new AtollError("ATOLL_SIGNATURE_INVALID", `the authority of ${origin.trustDomain} is not known here`);
  return authorityPem;
}
