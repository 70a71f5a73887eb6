import { lossyBus } from "#federation/bus/lossy-bus-fixture.ts";
import type { MemoryFaults } from "#federation/bus/memory-bus.ts";
import type { Random } from "#federation/runtime/random.ts";

/** Of the messages of a bus without heartbeats: so many are lost, as many are late by up to so many ms, and so many come a second time, after up to so many ms. */
const deaf = { lostShare: 0.1, lateShare: 0.4, lateMsMax: 400, echoShare: 0.5, echoMsMax: 5_000 } as const;

/**
 * A bus that loses, repeats and delays. Every other one, as `random` has it, does so less and loses all heartbeats instead, and what it delivers comes again
 * much later: whatever a receiver makes of frames stays for as long as the bus is like that, where digests would find it within a second otherwise.
 */
export function troubledBus(random: Random): MemoryFaults {
  return random.next() < 0.5 ? lossyBus(random) : busWithoutHeartbeats(random);
}

export function busWithoutHeartbeats(random: Random): MemoryFaults {
  const upTo = (ms: number): number => Math.floor(random.next() * ms);
  return ({ subject }) => {
    if (subject.endsWith(".heartbeat") || random.next() < deaf.lostShare) return [];
    const first = random.next() < deaf.lateShare ? upTo(deaf.lateMsMax) : 0;
    return random.next() < deaf.echoShare ? [first, first + upTo(deaf.echoMsMax)] : [first];
  };
}
