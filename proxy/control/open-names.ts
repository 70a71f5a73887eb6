import type { Snapshot } from "#federation/model/snapshot.ts";
import { deadlineSignal } from "#federation/runtime/clock.ts";
import { createDnsLookup, type DnsLookupOptions } from "#federation/runtime/dns/name-lookup.ts";
import { NameResolver } from "#federation/runtime/dns/name-resolver.ts";
import { isAbort } from "#federation/runtime/lifecycle.ts";
import type { Watched } from "#federation/runtime/watched.ts";
import type { ProcessParts } from "./control-link.ts";
import { loadNames } from "./names-file.ts";
import { ResolvedSnapshot } from "./resolved-snapshot.ts";

/** A start waits no longer than this for DNS, and only for names of which disk knows nothing. Ms. */
const startWaitMsMax = 2_000;

/** The names of a proxy's gateways, and the snapshot that they are resolved in. */
export interface OpenedNames {
  readonly resolver: NameResolver;
  readonly resolved: ResolvedSnapshot;
}

/** Begins to resolve the names of `source`, with what an earlier life left. */
export async function openNames(source: Watched<Snapshot>, options: ProcessParts & { readonly dataDir: string; readonly dns: DnsLookupOptions }): Promise<OpenedNames> {
  const { clock, random, logger, dataDir, dns } = options;
  const resolver = new NameResolver({
    lookup: createDnsLookup(dns),
    clock,
    random,
    known: await loadNames(dataDir, logger),
    onChange: (name, { problem, addresses }) => {
      if (problem === undefined) logger.info("A name of a gateway resolves again.", { name, addresses });
      else logger.warn("A name of a gateway does not resolve; what it stood for last stays in use.", { code: "ATOLL_NAME_UNRESOLVED", name, reason: problem, addresses });
    },
  });
  const resolved = new ResolvedSnapshot(source, resolver);
  using bound = deadlineSignal(clock, startWaitMsMax, new AbortController().signal);
  try {
    await resolved.firstAnswers(bound.signal);
  } catch (error) {
    if (!isAbort(error)) throw error;
  }
  return { resolver, resolved };
}
