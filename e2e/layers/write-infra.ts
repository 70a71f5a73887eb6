import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { exampleDirectory, exampleFiles } from "./infra-example.ts";

// Run by hand after a change of what `atoll bootstrap` writes: node e2e/layers/write-infra.ts
rmSync(exampleDirectory, { recursive: true, force: true });
for (const [path, { text, isProgram }] of exampleFiles()) {
  const target = join(exampleDirectory, path);
  mkdirSync(dirname(target), { recursive: true });
  writeFileSync(target, text, { mode: isProgram ? 0o755 : 0o644 });
}
