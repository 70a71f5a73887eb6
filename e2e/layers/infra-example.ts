import { readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseFederation } from "#federation/model/parse/parse-federation.ts";
import { formatFileFaults } from "#federation/model/parse/yaml-document.ts";
import { bootstrapFiles, type BootstrapFile } from "#services/cli/bootstrap/bootstrap-files.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));

/** Where the example lies, and what it is made of. */
export const exampleDirectory = join(root, "infra/example");
const source = join(root, "infra/federation.yaml");
/** Where the example in containers lies; beside what is written stand the file that describes it, and its applications. */
export const composeDirectory = join(root, "infra/compose");

/** What `atoll bootstrap infra/federation.yaml --out infra/example` writes: `node e2e/layers/write-infra.ts` does the same, and a test compares. */
export function exampleFiles(): ReadonlyMap<string, BootstrapFile> {
  return filesOf(source);
}

/** Of what `atoll bootstrap infra/compose/federation.yaml --compose` writes, what is about compose: written and compared in the same way. */
export function composeFiles(): ReadonlyMap<string, BootstrapFile> {
  return new Map([...filesOf(join(composeDirectory, "federation.yaml"))].filter(([path]) => path.startsWith("compose.")));
}

function filesOf(path: string): ReadonlyMap<string, BootstrapFile> {
  const text = readFileSync(path, "utf8");
  const outcome = parseFederation(text, path);
  if (outcome.kind === "faults") throw new Error(formatFileFaults(outcome.faults));
  return bootstrapFiles(outcome.value, { home: "/opt/atoll", hasKeys: false, source: text, ...(path.startsWith(composeDirectory) ? { compose: { baseDir: composeDirectory } } : {}) });
}
