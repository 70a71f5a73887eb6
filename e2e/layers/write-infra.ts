import { writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { engineFiles } from "./infra-example.ts";

// Run by hand after a change of the engines' configuration: node e2e/layers/write-infra.ts
for (const [path, text] of engineFiles()) writeFileSync(fileURLToPath(new URL(`../../${path}`, import.meta.url)), text);
