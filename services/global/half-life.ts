import { sleep, type Clock } from "#federation/runtime/clock.ts";
import { planeValidityMs } from "./federation-keys.ts";

/** What ends with the certificate that it was issued by is not made anew more often than this, in ms, nor after its end. */
const renewalMsMin = 60_000;

/**
 * Has `renew` called whenever half of what was left at the last time is over, until `signal` aborts: half of 30 days, and less where the issuing
 * certificate is near its end. `notAfterMs` says when what there is now ends. What `renew` throws ends it.
 */
export async function atHalfLife(options: { readonly notAfterMs: () => number; readonly renew: () => void; readonly clock: Clock }, signal: AbortSignal): Promise<void> {
  const { notAfterMs, renew, clock } = options;
  for (;;) {
    const leftMs = Math.min(notAfterMs() - clock.nowMs(), planeValidityMs);
    await sleep(clock, Math.max(leftMs / 2, renewalMsMin), signal);
    renew();
  }
}
