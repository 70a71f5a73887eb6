import type { Random } from "#federation/runtime/random.ts";
import type { MemoryFaults } from "./memory-bus.ts";

/** A bus that loses a quarter of its messages, repeats some, and delivers most of the others late. */
export function lossyBus(random: Random): MemoryFaults {
  return () => {
    const copies = random.next() < 0.25 ? 0 : random.next() < 0.15 ? 2 : 1;
    return Array.from({ length: copies }, () => (random.next() < 0.4 ? 0 : Math.floor(random.next() * 400)));
  };
}
