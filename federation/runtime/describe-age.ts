/** `850 ms`, `12 s`, `3 min`, `5 h`, `2 d`: how long, for people. */
export function describeAge(ms: number): string {
  const steps: readonly (readonly [number, string])[] = [
    [86_400_000, "d"],
    [3_600_000, "h"],
    [60_000, "min"],
    [1_000, "s"],
  ];
  for (const [size, unit] of steps) if (ms >= size * (unit === "s" ? 1 : 2)) return `${Math.round(ms / size)} ${unit}`;
  return `${Math.round(ms)} ms`;
}
