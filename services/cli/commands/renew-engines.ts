import { join, resolve } from "node:path";
import { AtollError } from "#federation/runtime/errors.ts";
import { dealEngineKeys, dealIssuing, engineWords, hasKeys } from "../bootstrap/federation-keys.ts";
import { layOutMachines } from "../bootstrap/machine-layout.ts";
import type { CommandContext } from "../context.ts";
import { readFederation } from "../described-federation.ts";
import { printData } from "../output.ts";
import { administratorArguments, dueEngines, memberOf, planesOf, readCertificate } from "../up/engine-certificates.ts";
import { runInit } from "../up/run-init.ts";

/** What `atoll renew-engines` may be told. */
export interface RenewEnginesOptions {
  /** Where `bootstrap --init` wrote everything. */
  readonly out: string;
}

/**
 * `atoll renew-engines FILE --out DIR`: another certificate for each engine that has lived for half of its life, by the key that it has, and for
 * etcd's administrator, and each into its machine's folder; what they were issued by into that of the global plane. Nothing else is written, and what is good for long stays: it may be run at any time.
 */
export async function runRenewEngines(context: CommandContext, file: string, options: RenewEnginesOptions): Promise<number> {
  const description = readFederation(file);
  const layout = layOutMachines(description, "/opt/atoll");
  const out = resolve(options.out);
  const keysDir = join(out, "keys");
  if (!hasKeys(keysDir)) throw new AtollError("ATOLL_USAGE", `${keysDir} holds no keys of a federation: \`atoll bootstrap FILE --out DIR --init\` makes them, and --out says where`);
  const { terminal, signal } = context;
  const nowMs = terminal.clock.nowMs();
  const engines = engineWords(layout);
  const due = dueEngines(keysDir, engines, nowMs);
  const words = [...due.flatMap((engine) => ["--engine", engine]), ...(engines.length === 0 ? [] : administratorArguments(keysDir, planesOf(description), nowMs))];
  if (words.length > 0) await runInit(context, keysDir, words, signal);
  dealEngineKeys(keysDir, join(out, "hosts"), layout);
  dealIssuing(keysDir, join(out, "hosts"), layout);
  const rows = engines.map((engine) => ({ host: memberOf(engine), isNew: due.includes(engine), validUntil: readCertificate(keysDir, memberOf(engine))?.validToDate.toISOString() ?? "" }));
  if (printData(context, rows)) return 0;
  for (const { host, isNew, validUntil } of rows) terminal.print(`${host}: ${isNew ? "renewed, " : ""}good until ${validUntil.slice(0, 10)}`);
  return 0;
}
