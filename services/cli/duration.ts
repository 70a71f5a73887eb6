import { InvalidArgumentError } from "commander";

const secondsOf: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3_600, d: 86_400 };

/** `90s`, `30m`, `24h`, `7d` or bare seconds, in seconds; not a number for anything else. */
export function durationSeconds(text: string): number {
  const match = /^([0-9]{1,8})([smhd]?)$/.exec(text);
  return Number(match?.[1]) * (secondsOf[match?.[2] ?? ""] ?? 1);
}

const timeoutSecondsMax = 86_400;

/** How long a command waits, in seconds: 1s to 24h. @throws commander's error on anything else. */
export function parseTimeoutSeconds(text: string): number {
  const seconds = durationSeconds(text);
  if (!(seconds >= 1 && seconds <= timeoutSecondsMax)) throw new InvalidArgumentError("Give 1s to 24h, such as 60s or 5m.");
  return seconds;
}
