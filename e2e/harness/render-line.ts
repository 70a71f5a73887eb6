/** One line of JSON: numbers to three digits below 100 and whole above. Objects by number stand in the numbers' order, which JSON.stringify does not keep. */
export function renderLine(value: unknown): string {
  if (typeof value === "number" && Number.isFinite(value)) return String(Number(value.toFixed(value < 100 ? 3 : 0)));
  if (value === null || typeof value !== "object") return "null";
  if (Array.isArray(value)) return `[${value.map((part) => renderLine(part)).join(",")}]`;
  const entries = Object.entries(value);
  const isByNumber = entries.every(([key]) => Number.isFinite(Number(key)));
  const ordered = isByNumber ? entries.toSorted(([left], [right]) => Number(left) - Number(right)) : entries;
  return `{${ordered.map(([key, part]) => `${JSON.stringify(key)}:${renderLine(part)}`).join(",")}}`;
}
