import type { Heartbeat } from "#federation/model/replication-messages.ts";

/**
 * Heartbeats of our own that the other one must have answered. Each takes it a second, and a leader that does not know yet that it is over
 * has five.
 */
export const proofsMin = 10;

/** Own heartbeats that an echo may answer; older ones show nothing of the present. */
const noncesMax = 32;

/** After which silence the count begins anew, in ms. */
const forgetMs = 10_000;

/**
 * Judges, for one link, whether another process speaks under the publisher's own name now. A receiver shows what that one has signed; since
 * old heartbeats can be shown as well, only those count that repeat a nonce of ours: the other has been shown it, after we had made it.
 * So nobody without the publisher's key can make it stop.
 */
export class RivalProof {
  readonly #nonces = new Map<string, true>();
  #echo: Uint8Array | undefined;
  #proofs = 0;
  #lastMs = Number.NEGATIVE_INFINITY;

  /** The nonce of the other's last heartbeat, to be repeated in our next. */
  get echo(): Uint8Array | undefined {
    return this.#echo;
  }

  sent(nonce: Uint8Array): void {
    this.#nonces.set(textOf(nonce), true);
    for (const oldest of this.#nonces.keys()) {
      if (this.#nonces.size <= noncesMax) break;
      this.#nonces.delete(oldest);
    }
  }

  /** Takes a verified heartbeat of another incarnation, of our epoch. True when it is shown beyond doubt that it is alive beside us. */
  shown({ nonce, echo }: Pick<Heartbeat, "nonce" | "echo">, nowMs: number): boolean {
    this.#echo = nonce;
    // Each nonce counts once.
    if (echo === undefined || !this.#nonces.delete(textOf(echo))) return false;
    this.#proofs = nowMs - this.#lastMs < forgetMs ? this.#proofs + 1 : 1;
    this.#lastMs = nowMs;
    return this.#proofs >= proofsMin;
  }
}

function textOf(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex");
}
