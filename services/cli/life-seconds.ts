import { InvalidArgumentError } from "commander";
import { provisioningLimits } from "#federation/model/provisioning-token.ts";

const secondsOf: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3_600, d: 86_400 };

/** The life of a token in seconds: `90s`, `30m`, `24h`, `7d` or bare seconds, within what any token may live. @throws commander's error on anything else. */
export function parseLifeSeconds(text: string): number {
  const match = /^([0-9]{1,8})([smhd]?)$/.exec(text);
  const seconds = Number(match?.[1]) * (secondsOf[match?.[2] ?? ""] ?? 1);
  const { lifeSecondsMin, lifeSecondsMax } = provisioningLimits;
  if (!(seconds >= lifeSecondsMin && seconds <= lifeSecondsMax)) throw new InvalidArgumentError(`Give ${lifeSecondsMin}s to ${lifeSecondsMax / 86_400}d, such as 30m or 24h.`);
  return seconds;
}
