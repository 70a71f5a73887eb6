/** A key pair that signs, or will. */
export interface HeldJwtKey {
  readonly keyId: string;
  /** A secret. */
  readonly privateKeyPem: string;
  /** Wall-clock ms: when it began to sign, or, of the next one, was made. */
  readonly sinceMs: number;
}

/** A public key whose tokens may hold still. */
export interface RetiredJwtKey {
  readonly keyId: string;
  /** SubjectPublicKeyInfo, DER in base64. */
  readonly publicKey: string;
  /** Wall-clock ms. */
  readonly untilMs: number;
}

/**
 * The JWT keys of one plane. A key is made and published a day before it signs, signs for a week, and stays published until its last token has ended:
 *
 *   next --signed for a week, and everybody can know it--> current --> retired --an hour--> gone
 */
export interface JwtKeyState {
  readonly current: HeldJwtKey;
  readonly next?: HeldJwtKey;
  readonly retired: readonly RetiredJwtKey[];
}

const hourMs = 3_600_000;
const dayMs = 24 * hourMs;

/** How long a key signs, in ms: as long as an intermediate before its renewal. */
export const jwtKeySignsMs = 7 * dayMs;

/** How long before that is over the next one is made, in ms. */
export const jwtKeyAheadMs = dayMs;

/** How long a key stays published after its last signature, in ms: tokens live five minutes, and clocks differ by ten. */
export const jwtKeyRetiredMs = hourMs;

export interface JwtKeySteps {
  /** True once whoever verifies can know the next key. */
  readonly isNextKnown: boolean;
  readonly makeKey: () => HeldJwtKey;
  readonly publicKeyOf: (key: HeldJwtKey) => string;
}

/** The state at `nowMs`; the same object where nothing is due. Pure, but for the key that it may have made. */
export function advanceJwtKeys(state: JwtKeyState, nowMs: number, { isNextKnown, makeKey, publicKeyOf }: JwtKeySteps): JwtKeyState {
  const { current, next } = state;
  const signedMs = nowMs - current.sinceMs;
  // A key of the future was made by a clock that was wrong, and would sign for who knows how long.
  const isOfFuture = signedMs < -dayMs;
  const retired = state.retired.filter(({ untilMs }) => untilMs > nowMs);
  const kept = retired.length === state.retired.length ? state : { ...state, retired };
  if (next === undefined) return signedMs >= jwtKeySignsMs - jwtKeyAheadMs || isOfFuture ? { ...kept, next: makeKey() } : kept;
  if (!isNextKnown || (signedMs < jwtKeySignsMs && !isOfFuture)) return kept;
  const left = { keyId: current.keyId, publicKey: publicKeyOf(current), untilMs: nowMs + jwtKeyRetiredMs };
  return { current: { ...next, sinceMs: nowMs }, retired: [...retired, left] };
}
