import { randomBytes } from "node:crypto";

/** Randomness as a port: jitter and load balancing take it, keys and tokens never do (they use node:crypto). */
export interface Random {
  /** A number in [0, 1). */
  next(): number;
  /** `length` bytes. */
  bytes(length: number): Uint8Array;
}

/** The process's own source. */
export const systemRandom: Random = {
  next: () => Math.random(),
  bytes: (length) => randomBytes(length),
};

/**
 * A repeatable source for tests and simulations.
 * @see https://prng.di.unimi.it/splitmix64.c for the idea; this is the 32-bit variant known as mulberry32.
 */
export function createSeededRandom(seed: number): Random {
  let state = seed >>> 0;
  const next = (): number => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = state;
    mixed = Math.imul(mixed ^ (mixed >>> 15), mixed | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 0x1_0000_0000;
  };
  return {
    next,
    bytes: (length) => Uint8Array.from({ length }, () => Math.floor(next() * 256)),
  };
}

/** `baseMs` moved by at most ±`ratio` (0.1 = 10 %), so that many processes do not act in step. */
export function jittered(random: Random, baseMs: number, ratio: number): number {
  return baseMs * (1 - ratio + random.next() * 2 * ratio);
}
