import { systemClock, sleep, type Clock } from "#federation/runtime/clock.ts";
import { HostProbe } from "./host-probe.ts";

const signal = new AbortController().signal;
/** Until then what is measured is the compiler. Longest on the clock, for a host that hardly gives us a processor. */
const warmUpCpuMs = 600;
const warmUpMsMax = 1_000;
const measureMs = 1_000;
const lookMs = 20;

/** How much of the probe's work one processor does: prints `{rounds, cpuMicros, wallMs}` of one second, and ends. */
async function main(clock: Clock): Promise<void> {
  await using probe = await HostProbe.open();
  const beganMs = clock.monotonicMs();
  while (process.cpuUsage().user / 1_000 < warmUpCpuMs && clock.monotonicMs() - beganMs < warmUpMsMax) await sleep(clock, lookMs, signal);
  const before = { rounds: probe.rounds, cpu: process.cpuUsage(), atMs: clock.monotonicMs() };
  await sleep(clock, measureMs, signal);
  const { user, system } = process.cpuUsage(before.cpu);
  process.stdout.write(`${JSON.stringify({ rounds: probe.rounds - before.rounds, cpuMicros: user + system, wallMs: clock.monotonicMs() - before.atMs })}\n`);
}

await main(systemClock);
