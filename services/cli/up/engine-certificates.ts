import { X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { isAged } from "../certificate-age.ts";

/** Those of `engines` (words of `init`, `NAME:HOST`) whose certificate in `dataDir` is not there, cannot be read, or has lived for half of its life. */
export function dueEngines(dataDir: string, engines: readonly string[], nowMs: number): readonly string[] {
  return engines.filter((engine) => {
    const name = engine.slice(0, engine.indexOf(":"));
    try {
      return isAged(new X509Certificate(readFileSync(join(dataDir, "global", "engines", `${name}.pem`))), nowMs);
    } catch {
      return true;
    }
  });
}
