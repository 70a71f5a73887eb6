import { chmodSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { build } from "esbuild";

/** Where Terraform looks for providers that no registry has. */
const address = "registry.terraform.io/atoll/atoll";
const home = join(import.meta.dirname, "..");

/**
 * Builds the provider as one executable file below `out`, laid out as a `filesystem_mirror`; answers the file's path. The same sources
 * give the same bytes. It runs by the `node` on PATH, 22 or newer.
 */
export async function buildProvider(out: string): Promise<string> {
  const { version } = JSON.parse(readFileSync(join(home, "package.json"), "utf8")) as { readonly version: string };
  const folder = join(out, address, version, `${process.platform}_${process.arch === "x64" ? "amd64" : process.arch}`);
  mkdirSync(folder, { recursive: true });
  const outfile = join(folder, `terraform-provider-atoll_v${version}`);
  await build({
    entryPoints: [join(home, "terraform", "provider", "main.ts")],
    outfile,
    bundle: true,
    platform: "node",
    target: "node20",
    format: "cjs",
    minify: true,
    legalComments: "none",
    logLevel: "warning",
    banner: { js: "#!/usr/bin/env node" },
  });
  chmodSync(outfile, 0o755);
  // Node tells how to read a file without an extension of its own by the package around it, which may be anybody's.
  writeFileSync(join(folder, "package.json"), `${JSON.stringify({ type: "commonjs" })}\n`);
  return outfile;
}

if (import.meta.main) process.stdout.write(`${await buildProvider(join(home, "dist", "terraform"))}\n`);
