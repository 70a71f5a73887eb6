import { describeAge } from "#federation/runtime/describe-age.ts";

/** From so far apart on clocks are named: certificates begin 15 minutes before they are issued, and end by everybody's own clock. Ms. */
export const clockApartMsMax = 30_000;

/** A proxy's clock less its plane's, as the proxy found it. */
export interface InstanceClock {
  readonly instance: string;
  readonly aheadMs: number;
}

/** Whether clocks are so far apart that somebody has to be told. */
export function isClockApart(aheadMs: number): boolean {
  return Math.abs(aheadMs) >= clockApartMsMax;
}

/** `40 s ahead of`, `3 min behind`. */
export function clockWords(aheadMs: number): string {
  return `${describeAge(Math.abs(aheadMs))} ${aheadMs > 0 ? "ahead of" : "behind"}`;
}
