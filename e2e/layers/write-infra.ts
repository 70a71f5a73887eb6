import { chmodSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { composeDirectory, composeFiles, exampleDirectory, exampleFiles } from "./infra-example.ts";
import { kubernetesNatsText, overlays, overlaysPath } from "./kubernetes-nats.ts";

// Run by hand after a change of what `atoll bootstrap` writes: node e2e/layers/write-infra.ts
rmSync(exampleDirectory, { recursive: true, force: true });
for (const [directory, files] of [[exampleDirectory, exampleFiles()], [composeDirectory, composeFiles()]] as const) {
  for (const [path, { text, isProgram }] of files) {
    const target = join(directory, path);
    mkdirSync(dirname(target), { recursive: true });
    writeFileSync(target, text);
    chmodSync(target, isProgram ? 0o755 : 0o644);
  }
}
const root = fileURLToPath(new URL("../..", import.meta.url));
for (const { region } of overlays) writeFileSync(join(root, overlaysPath, region, "nats.conf"), kubernetesNatsText(region));
