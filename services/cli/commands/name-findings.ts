import type { ClusterStatus, FederationStatus } from "#federation/admin-api/status.ts";
import { dialledNames, hostOfAddress, type NameRow } from "#federation/runtime/dns/dialled-names.ts";
import type { NameLookup } from "#federation/runtime/dns/name-lookup.ts";
import { addressesOfName, afterAnswer, unaskedName } from "#federation/runtime/dns/name-state.ts";
import type { Column } from "../table.ts";

/** A name that something of the federation is dialled by, as one of those who dial it sees it. */
export interface SeenName extends NameRow {
  readonly seenBy: string;
}

/** What planes say of the names that are dialled at them; older ones say nothing. Pure. */
export function namesSeen(global: FederationStatus | undefined, clusters: readonly (readonly [string, ClusterStatus])[]): readonly SeenName[] {
  const seen = (rows: FederationStatus["names"], seenBy: string): readonly SeenName[] => (rows ?? []).map(({ name, use, addresses, problem }) => ({ name, use, addresses, ...(problem === undefined ? {} : { problem }), seenBy }));
  return [...seen(global?.names, "the global plane"), ...clusters.flatMap(([name, status]) => seen(status.names, `the plane of ${name}`))];
}

/** The names by which this command reaches planes, looked up here and now; `planes` has the `host:port` of each. */
export async function namesDialledHere(planes: ReadonlyMap<string, string>, lookup: NameLookup, signal: AbortSignal): Promise<readonly SeenName[]> {
  const dialled = [...planes].flatMap(([owner, server]) => dialledNames([hostOfAddress(server)], owner === "global" ? "the global plane" : `the plane of ${owner}`));
  return await Promise.all(
    dialled.map(async ({ name, use }) => {
      const state = afterAnswer(unaskedName(undefined, 0), await lookup(name, signal), { nowMs: 0, wallMs: 0, spread: 0 });
      return { name, use, addresses: addressesOfName(state), ...(state.problem === undefined ? {} : { problem: state.problem }), seenBy: "this host" };
    }),
  );
}

/** One finding for each name that does not resolve for somebody who dials it, in words. Pure. */
export function nameProblems(names: readonly SeenName[]): readonly string[] {
  const unresolved = Map.groupBy(
    names.filter(({ problem }) => problem !== undefined),
    ({ name, use }) => `${use} ${name}`,
  );
  return [...unresolved.values()].map((rows) => {
    const [first] = rows;
    const held = [...new Set(rows.flatMap(({ addresses }) => addresses))].toSorted();
    const consequence = held.length === 0 ? "nothing is reached by it" : `what it stood for last stays in use (${held.join(", ")})`;
    return `${first?.name ?? ""} (${first?.use ?? ""}) does not resolve for ${rows.map(({ seenBy }) => seenBy).join(", ")}: ${first?.problem ?? ""}; ${consequence}`;
  });
}

/** For the table of names in `atoll status`. */
export const nameColumns: readonly Column<SeenName>[] = [
  { title: "NAME", value: (row) => row.name },
  { title: "OF", value: (row) => row.use },
  { title: "SEEN BY", value: (row) => row.seenBy },
  { title: "ADDRESSES", value: (row) => (row.problem === undefined ? row.addresses.join(", ") || "not asked yet" : `DOES NOT RESOLVE${row.addresses.length === 0 ? "" : `; held: ${row.addresses.join(", ")}`}`) },
];
