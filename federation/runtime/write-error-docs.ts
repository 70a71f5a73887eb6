import { writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { errorCatalog, type ErrorEntry } from "./error-catalog.ts";

/** The text of docs/errors.md. */
export function renderErrorDocs(): string {
  const rows = Object.entries<ErrorEntry>(errorCatalog).map(([code, entry]) => `| \`${code}\` | ${entry.meaning} | ${entry.action} |`);
  return [
    "# Error codes",
    "",
    "Codes are stable: never renamed, never reused. Logs, the admin API and the command line all carry them; match on the code, never on the message.",
    "Written from `federation/runtime/error-catalog.ts` by `node federation/runtime/write-error-docs.ts`.",
    "",
    "| code | meaning | what to do |",
    "|---|---|---|",
    ...rows,
    "",
  ].join("\n");
}

if (import.meta.main) {
  writeFileSync(fileURLToPath(new URL("../../docs/errors.md", import.meta.url)), renderErrorDocs());
}
