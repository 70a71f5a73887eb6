import { InvalidArgumentError } from "commander";
import { provisioningLimits } from "#federation/model/provisioning-token.ts";
import { durationSeconds } from "./duration.ts";

/** The life of a token in seconds: `90s`, `30m`, `24h`, `7d` or bare seconds, within what any token may live. @throws commander's error on anything else. */
export function parseLifeSeconds(text: string): number {
  const seconds = durationSeconds(text);
  const { lifeSecondsMin, lifeSecondsMax } = provisioningLimits;
  if (!(seconds >= lifeSecondsMin && seconds <= lifeSecondsMax)) throw new InvalidArgumentError(`Give ${lifeSecondsMin}s to ${lifeSecondsMax / 86_400}d, such as 30m or 24h.`);
  return seconds;
}
