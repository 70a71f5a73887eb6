import { mkdirSync, readdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { dirname, join, relative } from "node:path";
import { build, stop, type OutputFile, type Plugin } from "esbuild";
import { builtFolder, builtName } from "#federation/runtime/installation.ts";
import { describeBuild, manifestName, readManifest } from "./programs-manifest.ts";

/** What libraries of the older kind ask for, which modules do not have. */
const banner = 'import { createRequire as createRequireOfProgram } from "node:module"; const require = createRequireOfProgram(import.meta.url);';

/**
 * Puts each program of `sources`, with the libraries that it uses, into a file of its own and some that programs share,
 * below dist/programs of the installation `home` (docs/adr/0031). The names of shared files follow their content, and
 * what the build before this one made stays: who runs by it may still load a part of it.
 * @throws Error when a source has a fault, or nothing can be written there.
 */
export async function buildPrograms(home: string, sources: readonly string[]): Promise<void> {
  const before = readManifest(home);
  const { files, inputs } = await bundle(home, sources);
  const outputs = files.map(({ path }) => relative(home, path));
  const programs = new Set(sources.map(builtName));
  // A program is there once all that it loads is.
  for (const isProgram of [false, true]) {
    for (const { path, contents } of files) if (programs.has(relative(home, path)) === isProgram) writeWhole(path, contents);
  }
  writeWhole(join(home, manifestName), `${JSON.stringify(describeBuild(home, inputs, outputs))}\n`);
  removeOthers(home, [manifestName, ...outputs, ...(before?.outputs ?? [])]);
}

/** `inputs` are relative to `home`. */
async function bundle(home: string, sources: readonly string[]): Promise<{ readonly files: readonly OutputFile[]; readonly inputs: readonly string[] }> {
  try {
    const { outputFiles, metafile } = await build({
      absWorkingDir: home,
      entryPoints: [...sources],
      outdir: join(home, builtFolder),
      outbase: home,
      bundle: true,
      splitting: true,
      chunkNames: "shared/[name]-[hash]",
      platform: "node",
      target: "node24",
      format: "esm",
      legalComments: "none",
      logLevel: "silent",
      banner: { js: banner },
      plugins: [filesOfLibraries],
      metafile: true,
      write: false,
    });
    return { files: outputFiles, inputs: Object.keys(metafile.inputs) };
  } finally {
    await stop();
  }
}

/** A library that reads a file beside itself finds it in its package, wherever its code has gone. */
const filesOfLibraries: Plugin = {
  name: "files of libraries",
  setup(on) {
    on.onLoad({ filter: /node_modules\/etcd3\/lib\/connection-pool\.js$/ }, async ({ path }) => {
      const text = await readFile(path, "utf8");
      const contents = text.replace("`${__dirname}/../proto/rpc.proto`", 'require.resolve("etcd3/proto/rpc.proto")');
      if (contents === text) throw new Error(`${path} reads its schema otherwise than it did`);
      return { contents, loader: "js" };
    });
  },
};

/** A reader finds the former file or all of the new one. */
function writeWhole(path: string, contents: Uint8Array | string): void {
  mkdirSync(dirname(path), { recursive: true });
  const written = `${path}.${process.pid}.tmp`;
  writeFileSync(written, contents);
  renameSync(written, path);
}

function removeOthers(home: string, kept: readonly string[]): void {
  const keptPaths = new Set(kept.map((path) => join(home, path)));
  for (const entry of readdirSync(join(home, builtFolder), { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name);
    // What another build is writing just now is its own affair.
    if (entry.isFile() && !entry.name.endsWith(".tmp") && !keptPaths.has(path)) rmSync(path, { force: true });
  }
}
