import type { Clock } from "#federation/runtime/clock.ts";
import { TokenBucket } from "#federation/runtime/token-bucket.ts";

/** Bounds of a port that anybody may reach without any proof. Each connection carries one request. */
export const connectionLimits = {
  connections: 256,
  /** Of one address, those that it had within `rememberedMs` among them: whoever keeps his open, or comes again and again, keeps nobody else out. */
  connectionsOfAddress: 16,
  rememberedMs: 4_000,
  /** New ones at once, and a second after that: a handshake takes about a millisecond of the plane's processor. */
  burst: 100,
  perSecond: 50,
} as const;

/** Why a connection is not taken. */
export type GateRefusal = "connections" | "connectionsOfAddress" | "rate";

/** Counts connections, and says before their handshake which of them are too many. Monotonic time. */
export class ConnectionGate {
  readonly #clock: Clock;
  /** By address, open ones and remembered ones. */
  readonly #ofAddress = new Map<string, number>();
  /** In the order of their ends. No more than come within `rememberedMs`. */
  readonly #remembered: { readonly address: string; readonly untilMs: number }[] = [];
  #connections = 0;
  readonly #rate: TokenBucket;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#rate = new TokenBucket(connectionLimits, clock);
  }

  get connections(): number {
    return this.#connections;
  }

  /** Takes a connection of `address`, which `leave` has to follow, or says why not. */
  enter(address: string): GateRefusal | undefined {
    this.#forget();
    const ofAddress = this.#ofAddress.get(address) ?? 0;
    if (ofAddress >= connectionLimits.connectionsOfAddress) return "connectionsOfAddress";
    if (this.#connections >= connectionLimits.connections) return "connections";
    if (!this.#rate.take()) return "rate";
    this.#connections++;
    this.#ofAddress.set(address, ofAddress + 1);
    return undefined;
  }

  leave(address: string): void {
    this.#connections--;
    this.#remembered.push({ address, untilMs: this.#clock.monotonicMs() + connectionLimits.rememberedMs });
  }

  #forget(): void {
    const nowMs = this.#clock.monotonicMs();
    for (let first = this.#remembered[0]; first !== undefined && first.untilMs <= nowMs; first = this.#remembered[0]) {
      this.#remembered.shift();
      const left = (this.#ofAddress.get(first.address) ?? 0) - 1;
      if (left > 0) this.#ofAddress.set(first.address, left);
      else this.#ofAddress.delete(first.address);
    }
  }
}
