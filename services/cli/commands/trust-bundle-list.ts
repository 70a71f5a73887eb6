import { clusterRoutes, type BundleRow } from "#federation/admin-api/plane-routes.ts";
import type { ClusterStatus } from "#federation/admin-api/status.ts";
import { describeAge } from "#federation/runtime/describe-age.ts";
import type { CommandContext } from "../context.ts";
import { printRows } from "../output.ts";
import { withFederation } from "./federation.ts";

type FederatedRow = NonNullable<ClusterStatus["federatedTrustDomains"]>[number];

/** A trust domain as one cluster believes it, or would. */
export interface ListedBundle extends Pick<FederatedRow, "confirmedAtMs" | "nextFetchMs" | "fault"> {
  readonly cluster: string;
  readonly trustDomain: string;
  /** Absent: there is no bundle yet. */
  readonly sequence?: number;
  readonly from: string;
  /** Since its source said it last; absent: not since the plane leads. */
  readonly heardAgeMs?: number;
}

/** `atoll trust bundle list`: whom each cluster believes, and how new what it knows is. */
export async function runBundleList(context: CommandContext, { cluster }: { readonly cluster?: readonly string[] }): Promise<number> {
  const rows = await withFederation(context, async ({ planes }) => {
    const lists = (cluster ?? planes.clusters).map(async (name) => {
      const client = planes.cluster(name);
      const [bundles, status] = await Promise.all([client.call(clusterRoutes.bundles, {}, context.signal), client.call(clusterRoutes.status, {}, context.signal)]);
      return listedBundles(name, bundles.body.items, status.body);
    });
    return (await Promise.all(lists)).flat();
  });
  const nowMs = context.terminal.clock.nowMs();
  printRows(context, rows, [
    { title: "CLUSTER", value: (row) => row.cluster },
    { title: "TRUST DOMAIN", value: (row) => row.trustDomain },
    { title: "SEQUENCE", value: (row) => (row.sequence === undefined ? "none yet" : String(row.sequence)) },
    { title: "FROM", value: (row) => row.from },
    { title: "HEARD", value: (row) => (row.heardAgeMs === undefined ? "" : `${describeAge(row.heardAgeMs)} ago`) },
    { title: "NEXT FETCH", value: (row) => (row.nextFetchMs === undefined ? "" : `in ${describeAge(Math.max(0, row.nextFetchMs - nowMs))}`) },
    { title: "TROUBLE", value: (row) => row.fault?.message ?? "" },
  ]);
  return rows.some((row) => row.fault !== undefined || row.sequence === undefined) ? 1 : 0;
}

const sources: Readonly<Record<BundleRow["from"], string>> = { signer: "its signer", globalPlane: "the global plane", bundleEndpoint: "its bundle endpoint" };

/** The bundles of a cluster with what its status says of fetched ones, and of those that are still to be fetched. Pure. */
export function listedBundles(cluster: string, items: readonly BundleRow[], { asOfMs, federatedTrustDomains = [] }: Pick<ClusterStatus, "asOfMs" | "federatedTrustDomains">): readonly ListedBundle[] {
  const fetches = new Map<string, FederatedRow>(federatedTrustDomains.map((row) => [row.trustDomain, row]));
  const believed = items.map(({ trustDomain, sequence, from, heardAgeMs }): ListedBundle => {
    const fetched = from === "bundleEndpoint" ? fetchOf(fetches.get(trustDomain), asOfMs) : {};
    return { cluster, trustDomain, sequence, from: sources[from], ...(heardAgeMs === undefined ? {} : { heardAgeMs }), ...fetched };
  });
  const missing = federatedTrustDomains.filter(({ sequence }) => sequence === undefined).filter(({ trustDomain }) => !items.some((item) => item.trustDomain === trustDomain));
  return [...believed, ...missing.map((row): ListedBundle => ({ cluster, trustDomain: row.trustDomain, from: sources.bundleEndpoint, ...fetchOf(row, asOfMs) }))];
}

function fetchOf(row: FederatedRow | undefined, asOfMs: number): Partial<ListedBundle> {
  if (row === undefined) return {};
  const { sequence, acceptedAtMs, confirmedAtMs, nextFetchMs, fault } = row;
  return {
    ...(acceptedAtMs === undefined && sequence !== undefined ? { from: "its people, with the FederatedTrustDomain" } : {}),
    ...(confirmedAtMs === undefined ? {} : { confirmedAtMs, heardAgeMs: Math.max(0, asOfMs - confirmedAtMs) }),
    ...(nextFetchMs === undefined ? {} : { nextFetchMs }),
    ...(fault === undefined ? {} : { fault }),
  };
}
