import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { compileCache } from "../compile-cache.ts";

/** Whose schemas they are; the modules ask for this version or a newer one. */
const version = "6.25.0";
const folder = `registry.terraform.io/hashicorp/aws/${version}/${process.platform}_${process.arch === "x64" ? "amd64" : process.arch}`;

/** Puts the stand-in for hashicorp/aws into a `filesystem_mirror`; it runs by the `node` on PATH, from this working tree. */
export function installAwsSchemas(mirror: string): void {
  mkdirSync(join(mirror, folder), { recursive: true });
  writeFileSync(join(mirror, folder, `terraform-provider-aws_v${version}`), `#!/bin/sh\nNODE_COMPILE_CACHE='${compileCache}' exec node '${join(import.meta.dirname, "provider.ts")}'\n`, { mode: 0o755 });
}
