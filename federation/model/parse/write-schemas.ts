import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { schemaFiles } from "./json-schemas.ts";

// Run as `node federation/model/parse/write-schemas.ts` after a change of a schema; a unit test fails until then.
const directory = join(import.meta.dirname, "../../../docs/schemas");
await mkdir(directory, { recursive: true });
for (const [name, text] of schemaFiles()) await writeFile(join(directory, name), text);
