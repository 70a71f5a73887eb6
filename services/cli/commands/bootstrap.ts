import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import type { CommandContext } from "../context.ts";
import { readFederation } from "../described-federation.ts";
import { printData } from "../output.ts";
import { bootstrapFiles } from "../bootstrap/bootstrap-files.ts";
import { dealKeys, hasKeys, makeKeys, rootOf } from "../bootstrap/federation-keys.ts";
import { layOutMachines } from "../bootstrap/machine-layout.ts";

/** What `atoll bootstrap` may be told. */
export interface BootstrapCommandOptions {
  readonly out: string;
  /** Make the federation's keys unless they are there, and new certificates for its engines. */
  readonly init: boolean;
  /** Where Atoll is installed on the machines. */
  readonly home: string;
  /** A compose file too, for containers of one engine. */
  readonly compose: boolean;
}

/** `atoll bootstrap FILE --out DIR`: everything for many machines. What was written before is written anew; keys and tokens stay. */
export async function runBootstrap(context: CommandContext, file: string, options: BootstrapCommandOptions): Promise<number> {
  const description = readFederation(file);
  const source = readFileSync(file, "utf8");
  const out = resolve(options.out);
  const keysDir = join(out, "keys");
  const layout = layOutMachines(description, options.home);
  if (options.init) await makeKeys(context, keysDir, layout);
  const files = bootstrapFiles(description, { home: options.home, hasKeys: hasKeys(keysDir), ...rootOf(keysDir), source, ...(options.compose ? { compose: { baseDir: resolve(dirname(file)) } } : {}) });
  rmSync(join(out, "resources"), { recursive: true, force: true });
  for (const { host } of layout.machines) for (const folder of ["config", "systemd"]) rmSync(join(out, "hosts", host.name, folder), { recursive: true, force: true });
  for (const [path, { text, isProgram }] of files) {
    const target = join(out, path);
    mkdirSync(dirname(target), { recursive: true, mode: 0o700 });
    writeFileSync(target, text, { mode: isProgram ? 0o755 : 0o644 });
  }
  if (options.init) dealKeys(keysDir, join(out, "hosts"), layout);
  const machines = layout.machines.map(({ host, processes, engines }) => ({ host: host.name, address: host.address, engines: engines !== undefined, processes: processes.map(({ name }) => name) }));
  if (printData(context, { out, machines, files: [...files.keys()] })) return 0;
  const { terminal } = context;
  for (const { host, address, engines, processes } of machines) terminal.print(`${host} (${address}): ${[...(engines ? ["etcd", "nats-server"] : []), ...processes].join(", ") || "nothing"}`);
  terminal.print(`${files.size} files are in ${out}${options.init ? ", and the federation's keys in keys/ there" : ""}. The steps are in ${join(out, "README.md")}.`);
  return 0;
}
