import { clusterRoutes, type BundleRow } from "#federation/admin-api/plane-routes.ts";
import type { Cluster, TrustDomain } from "#federation/model/resource.ts";
import { AtollError, describeError } from "#federation/runtime/errors.ts";
import type { CommandContext } from "../context.ts";
import { printRows } from "../output.ts";
import { withFederation } from "./federation.ts";
import { Patience, type Asked } from "./patience.ts";
import { nextWords } from "./rotation-waits.ts";
import { lookAtRotation, type LookedAtRotation } from "./trust-rotate.ts";

/** By which roots of its own trust domain a cluster goes. */
export interface RootsRow {
  readonly trustDomain: string;
  readonly cluster: string;
  /** Of the bundle that the cluster's plane has, with how many roots are in it; absent where the plane has not said. */
  readonly sequence?: number;
  readonly roots?: number;
  /** Of the bundle that the trust domain's authority has signed last, as the global plane has it. */
  readonly newest: number;
  readonly standing: "newest" | "behind" | "unknown";
  /** What is in the way of the newest, or of knowing. */
  readonly reason?: string;
}

/**
 * `atoll trust status [TRUST-DOMAIN]`: by which roots each cluster goes, which clusters lack the newest, and for whom a rotation waits. Exit code 1 where
 * a cluster lacks them, or does not say.
 * @throws {ATOLL_NOT_FOUND} for a trust domain that the federation does not have
 */
export async function runTrustStatus(context: CommandContext, trustDomain: string | undefined): Promise<number> {
  const { signal, terminal } = context;
  const { rows, rotations } = await withFederation(context, async ({ planes }) => {
    const [clusters, trustDomains] = await Promise.all([planes.global().list("Cluster", {}, signal), planes.global().list("TrustDomain", {}, signal)]);
    const wanted = trustDomains.filter(({ metadata }) => trustDomain === undefined || metadata.name === trustDomain);
    if (trustDomain !== undefined && wanted.length === 0) throw new AtollError("ATOLL_NOT_FOUND", `there is no trust domain ${trustDomain}; there are ${trustDomains.map(({ metadata }) => metadata.name).join(", ")}`);
    const ofThem = clusters.filter(({ spec }) => wanted.some(({ metadata }) => metadata.name === spec.trustDomain));
    using patience = new Patience(terminal.clock, signal);
    const asked = await Promise.all(
      ofThem.map(async ({ metadata: { name } }) => [name, await patience.ask(async (inner) => (await planes.cluster(name).call(clusterRoutes.bundles, {}, inner)).body.items)] as const),
    );
    const rotating = await Promise.all(
      wanted.filter(({ metadata }) => planes.hasSigner(metadata.name)).map(({ metadata }) => patience.ask(async (inner) => await lookAtRotation(context, planes, metadata.name, inner))),
    );
    return { rows: rootsRows(ofThem, wanted, new Map(asked)), rotations: rotating };
  });
  printRows(context, rows, [
    { title: "TRUST DOMAIN", value: (row) => row.trustDomain },
    { title: "CLUSTER", value: (row) => row.cluster },
    { title: "SEQUENCE", value: (row) => String(row.sequence ?? "–"), align: "right" },
    { title: "ROOTS", value: (row) => String(row.roots ?? "–"), align: "right" },
    { title: "STANDING", value: (row) => row.reason ?? "has the newest" },
  ]);
  for (const asked of rotations) if (asked.kind === "answer" && asked.value.rotation.phase !== "settled") terminal.note(rotationWords(asked.value));
  return rows.every(({ standing }) => standing === "newest") ? 0 : 1;
}

/** Where a rotation that is on its way stands, for people. Pure. */
export function rotationWords({ rotation: { trustDomain, phase, sequence }, waits }: LookedAtRotation): string {
  return `The root of ${trustDomain} is rotated: ${phase}, with the bundle of sequence ${sequence}. ${nextWords(phase, waits)}`;
}

/** One row for each of `clusters`, by trust domain and name, from what their planes have answered. Pure. */
export function rootsRows(clusters: readonly Cluster[], trustDomains: readonly TrustDomain[], asked: ReadonlyMap<string, Asked<readonly BundleRow[]>>): readonly RootsRow[] {
  const newest = new Map(trustDomains.map(({ metadata, spec }) => [metadata.name, factsOf(spec.bundle).sequence]));
  return clusters
    .map(({ metadata: { name: cluster }, spec: { trustDomain } }): RootsRow => {
      const common = { trustDomain, cluster, newest: newest.get(trustDomain) ?? 0 };
      return { ...common, ...standingOf(common, asked.get(cluster)) };
    })
    .toSorted((a, b) => (`${a.trustDomain} ${a.cluster}` < `${b.trustDomain} ${b.cluster}` ? -1 : 1));
}

function standingOf({ trustDomain, newest }: Pick<RootsRow, "trustDomain" | "newest">, asked: Asked<readonly BundleRow[]> | undefined): Pick<RootsRow, "sequence" | "roots" | "standing" | "reason"> {
  if (asked?.kind !== "answer") return { standing: "unknown", reason: `its plane does not answer: ${describeError(asked?.error)}` };
  const held = asked.value.find((row) => row.trustDomain === trustDomain);
  if (held === undefined) return { standing: "unknown", reason: "its plane names no roots of its own trust domain" };
  const told = factsOf(held.document);
  // The global plane may be behind, over a store that was put back.
  if (held.sequence >= newest) return { ...told, standing: "newest" };
  return { ...told, standing: "behind", reason: `lacks the newest, of sequence ${newest}` };
}

/** Of a bundle document that a plane has judged. */
function factsOf(document: string): { readonly sequence: number; readonly roots: number } {
  const { keys, spiffe_sequence: sequence } = JSON.parse(document) as { readonly keys: readonly { readonly use: string }[]; readonly spiffe_sequence: number };
  return { sequence, roots: keys.filter(({ use }) => use === "x509-svid").length };
}
