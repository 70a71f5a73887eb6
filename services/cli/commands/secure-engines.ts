import { existsSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { etcdAdministrator } from "#federation/model/engine-identity.ts";
import { AtollError } from "#federation/runtime/errors.ts";
import { layOutMachines } from "../bootstrap/machine-layout.ts";
import { machineEtcds } from "../bootstrap/machine-etcds.ts";
import type { CommandContext } from "../context.ts";
import { readFederation } from "../described-federation.ts";
import { secureEtcd } from "../engines/etcd-access.ts";
import { engineTlsFiles, type EngineTlsFiles } from "../engines/etcd-args.ts";
import { etcdTenants, type EtcdTenants } from "../engines/etcd-users.ts";
import { holdsToRoles, rolesHoldFrom } from "../engines/etcd-version.ts";
import { readPlaneStores } from "../engines/plane-stores.ts";
import { printData } from "../output.ts";
import { readCertificate } from "../up/engine-certificates.ts";

/** What `atoll secure-engines` may be told. */
export interface SecureEnginesOptions {
  /** Where `bootstrap --init` made the federation's keys. */
  readonly keys: string;
  /** Only the etcds that stand in these regions of the file; all unless told. */
  readonly region?: readonly string[];
  /** A directory of planes' configurations, in the place of a federation's file. */
  readonly configs?: string;
}

/**
 * `atoll secure-engines FILE`: has each etcd of a federation on machines let its planes alone in, each to its own part. From where the keys are, over
 * the network; again after planes were added. With `--configs` it is the etcds that these planes name, which have to be all that are in them.
 */
export async function runSecureEngines(context: CommandContext, file: string | undefined, options: SecureEnginesOptions): Promise<number> {
  const { clock } = context.terminal;
  const wanted = wantedEtcds(file, options);
  const tls = administratorFiles(resolve(options.keys), clock.nowMs());
  const secured = [];
  for (const tenants of wanted) {
    const versions = await secureEtcd({ tenants, tls, clock }, context.signal);
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

/** @throws {ATOLL_USAGE} for other than a file or configurations, and when none of them names such an etcd */
function wantedEtcds(file: string | undefined, { region: regions = [], configs }: SecureEnginesOptions): readonly EtcdTenants[] {
  if ((file === undefined) === (configs === undefined)) throw new AtollError("ATOLL_USAGE", "the etcds are those of a federation's FILE, or those that planes name in the configurations of --configs");
  if (file === undefined) {
    if (regions.length > 0) throw new AtollError("ATOLL_USAGE", "--region is a region of a federation's FILE");
    const named = etcdTenants(readPlaneStores(configs ?? ""));
    if (named.length === 0) throw new AtollError("ATOLL_USAGE", `no plane in ${configs} has its store in etcd`);
    return named;
  }
  const all = machineEtcds(layOutMachines(readFederation(file), "/opt/atoll"));
  const unknown = regions.find((region) => !all.some((etcd) => etcd.region === region));
  if (unknown !== undefined) throw new AtollError("ATOLL_USAGE", `--region ${unknown}: planes have their stores in the etcds of ${all.map(({ region }) => region).join(", ")}`);
  return regions.length === 0 ? all : all.filter(({ region }) => regions.includes(region));
}

/** @throws {ATOLL_USAGE} when the administrator has no certificate there, or one that has ended: etcd would say nothing of why */
function administratorFiles(keysDir: string, nowMs: number): EngineTlsFiles {
  const files = engineTlsFiles(keysDir, etcdAdministrator);
  const missing = Object.values(files).some((path) => !existsSync(path));
  if (missing) throw new AtollError("ATOLL_USAGE", `${dirname(files.ca)} holds no certificate of etcd's administrator: \`atoll bootstrap FILE --out DIR --init\` makes it, and --keys says where`);
  const endedAt = readCertificate(keysDir, etcdAdministrator)?.validToDate;
  if (endedAt !== undefined && endedAt.getTime() <= nowMs) throw new AtollError("ATOLL_USAGE", `the certificate of etcd's administrator in ${dirname(files.ca)} ended on ${endedAt.toISOString()}: \`atoll renew-engines\` makes another, and with the containers of --compose \`sh compose.sh renew\``);
  return files;
}
