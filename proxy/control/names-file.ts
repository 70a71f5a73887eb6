import { readFile } from "node:fs/promises";
import { isIP } from "node:net";
import { join } from "node:path";
import { sleep, type Clock } from "#federation/runtime/clock.ts";
import { isDnsName } from "#federation/runtime/dns/host-name.ts";
import { addressesPerNameMax } from "#federation/runtime/dns/name-state.ts";
import { namesMax, type ResolvedNames } from "#federation/runtime/dns/name-resolver.ts";
import { describeError } from "#federation/runtime/errors.ts";
import { isAbort } from "#federation/runtime/lifecycle.ts";
import { writePrivateFile } from "#federation/runtime/private-file.ts";
import type { Watched } from "#federation/runtime/watched.ts";
import type { Logger } from "#federation/telemetry/logger.ts";
import { isMissing } from "#federation/runtime/missing-file.ts";
import { KeptWrite } from "#federation/runtime/kept-write.ts";

/** What names stood for, as a proxy keeps it for a start without DNS; beside the last known good, which keeps the names. */
export type KnownNames = ReadonlyMap<string, { readonly addresses: readonly string[]; readonly asOfMs: number }>;

const fileName = "names.json";
/** Answers within so long are written together. */
const saveIntervalMs = 1_000;

/** Reads what an earlier life left. A file that is absent or damaged only means that DNS has to answer first. */
export async function loadNames(dataDir: string, logger: Logger): Promise<KnownNames> {
  try {
    return namesOf(JSON.parse(await readFile(join(dataDir, fileName), "utf8")));
  } catch (error) {
    const isAbsent = isMissing(error);
    if (!isAbsent) logger.warn("The addresses of names on disk could not be used.", { path: join(dataDir, fileName), reason: describeError(error) });
    return new Map();
  }
}

/** Writes what `names` stand for whenever that changes, until `signal` aborts. A failed write is tried again: serving goes on without it. */
export async function saveNames(dataDir: string, names: Watched<ResolvedNames>, parts: { readonly clock: Clock; readonly logger: Logger }, signal: AbortSignal): Promise<void> {
  const kept = new KeptWrite<string>({ ...parts, what: "The addresses of names", write: (text) => writePrivateFile(join(dataDir, fileName), text) });
  let saved = "";
  try {
    for await (const current of names.changes(signal)) {
      const held = [...current].filter(([, { addresses }]) => addresses.length > 0);
      const content = JSON.stringify(held.map(([name, { addresses }]) => [name, addresses]));
      if (content === saved || held.length === 0) continue;
      await kept.put(JSON.stringify(held.map(([name, { addresses, asOfMs }]) => [name, addresses, asOfMs])));
      saved = content;
      await sleep(parts.clock, saveIntervalMs, signal);
    }
  } catch (error) {
    if (!isAbort(error)) throw error;
  }
  await kept[Symbol.asyncDispose]();
}

function namesOf(value: unknown): KnownNames {
  const names = new Map<string, { readonly addresses: readonly string[]; readonly asOfMs: number }>();
  if (!Array.isArray(value)) throw new TypeError("not a list");
  for (const entry of value.slice(0, namesMax) as unknown[]) {
    const [name, addresses, asOfMs] = Array.isArray(entry) ? (entry as unknown[]) : [];
    if (typeof name !== "string" || !isDnsName(name) || typeof asOfMs !== "number" || !Array.isArray(addresses)) throw new TypeError("an entry is not a name with its addresses");
    const literal = (addresses as unknown[]).filter((address): address is string => typeof address === "string" && isIP(address) !== 0);
    if (literal.length > 0) names.set(name, { addresses: literal.slice(0, addressesPerNameMax), asOfMs });
  }
  return names;
}
