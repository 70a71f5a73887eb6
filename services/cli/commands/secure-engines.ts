import { existsSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { etcdAdministrator } from "#federation/model/engine-identity.ts";
import { AtollError } from "#federation/runtime/errors.ts";
import { layOutMachines } from "../bootstrap/machine-layout.ts";
import type { CommandContext } from "../context.ts";
import { readFederation } from "../described-federation.ts";
import { secureEtcd } from "../engines/etcd-access.ts";
import { engineTlsFiles, type EngineTlsFiles } from "../engines/etcd-args.ts";
import { etcdTenants } from "../engines/etcd-users.ts";
import { holdsToRoles, rolesHoldFrom } from "../engines/etcd-version.ts";
import { printData } from "../output.ts";

/** What `atoll secure-engines` may be told. */
export interface SecureEnginesOptions {
  /** Where `bootstrap --init` made the federation's keys. */
  readonly keys: string;
}

/**
 * `atoll secure-engines FILE`: has each etcd of a federation on machines let its planes alone in, each to its own part. From where the keys are, over
 * the network; again after planes were added.
 */
export async function runSecureEngines(context: CommandContext, file: string, options: SecureEnginesOptions): Promise<number> {
  const { machines } = layOutMachines(readFederation(file), "/opt/atoll");
  const tls = administratorFiles(resolve(options.keys));
  const secured = [];
  for (const tenants of etcdTenants(machines.flatMap(({ processes }) => processes.map(({ config }) => config)))) {
    const versions = await secureEtcd({ tenants, tls, clock: context.terminal.clock }, context.signal);
    secured.push({ ...tenants, versions });
  }
  if (printData(context, secured)) return 0;
  const { terminal } = context;
  for (const { endpoints, planes, versions } of secured) {
    terminal.print(`${endpoints.join(", ")}: ${planes.join(", ")}, each with its own part`);
    const leaky = versions.filter((version) => !holdsToRoles(version));
    if (leaky.length > 0) terminal.note(`${terminal.paint.warn("warning")}  it is etcd ${leaky.join(", ")}, which a plane gets around by a transaction within a transaction: take ${rolesHoldFrom}`);
  }
  return 0;
}

/** @throws {ATOLL_USAGE} when the administrator has no certificate there */
function administratorFiles(keysDir: string): EngineTlsFiles {
  const files = engineTlsFiles(keysDir, etcdAdministrator);
  if (Object.values(files).every((path) => existsSync(path))) return files;
  throw new AtollError("ATOLL_USAGE", `${dirname(files.ca)} holds no certificate of etcd's administrator: \`atoll bootstrap FILE --out DIR --init\` makes it, and --keys says where`);
}
