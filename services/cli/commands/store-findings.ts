import type { ClusterStatus, FederationStatus } from "#federation/admin-api/status.ts";
import { describeAge } from "#federation/runtime/describe-age.ts";
import { behindWords, type StoreStanding } from "#federation/model/store-standing.ts";
import { neededForChanges } from "#federation/runtime/write-failures.ts";

/** That a plane's store is behind, and what to do; nothing for a sound one, nor of a plane that does not say. */
export function storeProblems(plane: string, { store }: Pick<ClusterStatus | FederationStatus, "store">): readonly string[] {
  if (store?.state !== "behind") return [];
  const what = plane === "global" ? "the global plane writes and publishes" : `the plane of ${plane} writes and publishes`;
  return [`the store of ${plane} ${describeBehind(store)}; ${what} nothing until you decide: \`atoll reconcile ${plane}\``];
}

/** That a plane's store is away, and what that comes to; nothing of one that answers. */
export function awayProblems(plane: string, { storeAwaySinceMs, asOfMs }: Pick<ClusterStatus | FederationStatus, "storeAwaySinceMs" | "asOfMs">): readonly string[] {
  if (storeAwaySinceMs === undefined) return [];
  const what = plane === "global" ? "the global plane" : `the plane of ${plane}`;
  return [`the store of ${plane} has not answered for ${describeAge(Math.max(0, asOfMs - storeAwaySinceMs))}; ${what} answers from what it knew then and takes no writes until the store is back`];
}

const needed: ReadonlySet<string> = new Set(Object.values(neededForChanges));

/** What a plane cannot write, what that comes to, and what to do; nothing of one that can write all. */
export function unwritableProblems(plane: string, { unwritable = [], asOfMs }: Pick<ClusterStatus | FederationStatus, "unwritable" | "asOfMs">): readonly string[] {
  if (unwritable.length === 0) return [];
  const subject = plane === "global" ? "the global plane" : `the plane of ${plane}`;
  const sinceMs = Math.min(...unwritable.map((row) => row.sinceMs));
  const reasons = [...new Set(unwritable.map(({ reason }) => reason))].join("; ");
  const comesTo = unwritable.some(({ what }) => needed.has(what)) ? "it answers by what it knows, and takes no changes and nothing new of other planes" : "it goes on";
  return [`${subject} has not been able to write ${unwritable.map(({ what }) => what).join(", ")} for ${describeAge(Math.max(0, asOfMs - sinceMs))} (${reasons}): ${comesTo}, and writes again by itself once it can; give its disk room, or make it writable`];
}

/** Whether a plane's store takes no writes: what it hears it cannot keep, and says that it hears nothing. */
export function isUnwritable({ unwritable = [] }: Pick<ClusterStatus | FederationStatus, "unwritable">): boolean {
  return unwritable.some(({ what }) => what === neededForChanges.store);
}

/** What a plane does not hear of in its own store, though that answers, and what to do; nothing of one that hears of all. */
export function unfollowedProblems(plane: string, { unfollowed = [] }: Pick<ClusterStatus | FederationStatus, "unfollowed">): readonly string[] {
  const [oldest] = unfollowed;
  if (oldest === undefined) return [];
  const what = plane === "global" ? "the global plane" : `the plane of ${plane}`;
  const named = unfollowed.slice(0, unfollowedShownMax).map(({ collection }) => collection).join(", ");
  const more = unfollowed.length > unfollowedShownMax ? ` and ${unfollowed.length - unfollowedShownMax} more` : "";
  return [
    `${what} has not been able to read ${named}${more} in its store for ${describeAge(oldest.ageMs)}, though the store answers (${oldest.reason}); what it shows, and tells proxies and other planes by it, may be as old as that: see what the store's host and log say of it, and start the store and then the plane again where that does not end it`,
  ];
}

/** Collections named in one line. */
const unfollowedShownMax = 3;

/** Planes of which there are two, what is known of them, and what to do; each once, by its own word where it has one. */
export function doubleProblems(federation: FederationStatus | undefined, clusters: readonly (readonly [string, ClusterStatus])[]): readonly string[] {
  const own = [...(federation === undefined ? [] : [["global", federation] as const]), ...clusters].flatMap(([plane, { incarnation }]) =>
    incarnation?.rival === undefined ? [] : [{ plane, what: `two processes speak as ${plane}: ${incarnation.id}, which answers here, and ${incarnation.rival.id}, which ${incarnation.rival.witness} hears as well` }],
  );
  const isKnown = new Set(own.map(({ plane }) => plane));
  const heard = [
    ...(federation?.clusters ?? []).map(({ id, doubled }) => ({ plane: id as string, by: "global", doubled })),
    ...clusters.map(([by, { globalPlane }]) => ({ plane: "global", by, doubled: globalPlane.doubled })),
  ].flatMap(({ plane, by, doubled }) => (doubled === undefined || isKnown.has(plane) ? [] : [{ plane, what: `${by} hears two processes as ${plane}: ${doubled.incarnations.join(" and ")}` }]));
  return [...own, ...heard].map(({ plane, what }) => `${what}; neither is believed or written to until one is silent for a minute: stop the copy, or name the one that answers here with \`atoll reconcile ${plane} --keep\``);
}

/** Planes that do not believe another any more, though that one says nothing of its store being behind. */
export function distrustProblems(federation: FederationStatus | undefined, clusters: readonly (readonly [string, ClusterStatus])[]): readonly string[] {
  const isBehind = new Map([["global", federation?.store?.state === "behind"], ...clusters.map(([name, { store }]) => [name, store?.state === "behind"] as const)]);
  const pairs = [
    ...(federation?.clusters ?? []).flatMap(({ id, refusesUs, behindSinceMs }) => [
      ...(refusesUs === true ? [{ who: id, whom: "global" }] : []),
      ...(behindSinceMs === undefined ? [] : [{ who: "global", whom: id }]),
    ]),
    ...clusters.flatMap(([name, { globalPlane }]) => [
      ...(globalPlane.refusesUs === true ? [{ who: "global", whom: name }] : []),
      ...(globalPlane.behindSinceMs === undefined ? [] : [{ who: name, whom: "global" }]),
    ]),
  ];
  const words = pairs.filter(({ whom }) => isBehind.get(whom) !== true).map(({ who, whom }) => `${who} applies nothing of ${whom} any more: the store of ${whom} was seen behind what it had told; decide with \`atoll reconcile ${whom}\``);
  return [...new Set(words)];
}

/** Planes that hold what another has withdrawn, and what to do. */
export function withdrawalProblems(federation: FederationStatus | undefined, clusters: readonly (readonly [string, ClusterStatus])[]): readonly string[] {
  const held = [
    ...(federation?.clusters ?? []).map(({ id, withdrawalsHeld }) => ({ who: "global", whom: id as string, withdrawalsHeld })),
    ...clusters.map(([name, { globalPlane }]) => ({ who: name, whom: "global", withdrawalsHeld: globalPlane.withdrawalsHeld })),
  ];
  return held.flatMap(({ who, whom, withdrawalsHeld = 0 }) =>
    withdrawalsHeld === 0
      ? []
      : [
          `${who} goes on with ${withdrawalsHeld} object${withdrawalsHeld === 1 ? "" : "s"} that ${whom} offers no longer: ${whom} has not signed that they are deleted, and so much at once is the sign of a lost store; ${whom === "global" ? "make them again at global" : `have ${whom} take them back with \`atoll reconcile ${whom} --take-newer\``}, or let them go with \`atoll withdrawals ${who} --of ${whom} --let-go\``,
        ],
  );
}

/** Objects that a plane is sent and does not take, by whom and why. */
export function refusalProblems(federation: FederationStatus | undefined, clusters: readonly (readonly [string, ClusterStatus])[]): readonly string[] {
  const refusals = [
    ...(federation?.clusters ?? []).map(({ id, refused }) => ({ who: id as string, whom: "global", refused })),
    ...clusters.map(([name, { globalPlane }]) => ({ who: "global", whom: name, refused: globalPlane.refused })),
  ];
  return refusals.flatMap(({ who, whom, refused = [] }) => {
    if (refused.length === 0) return [];
    const named = refused.slice(0, refusedShownMax).map(({ id, reason }) => `${id} (${refusalWords[reason] ?? reason})`).join(", ");
    const more = refused.length > refusedShownMax ? ` and ${refused.length - refusedShownMax} more` : "";
    return [`${who} is sent ${refused.length} object${refused.length === 1 ? "" : "s"} of ${whom} that it does not take: ${named}${more}; nobody behind ${who} knows of them`];
  });
}

const refusalWords: Readonly<Record<string, string>> = {
  origin: "its origin may not say that, or says too much",
  audience: "it is not meant for it",
  signature: "its signature is not valid there",
  revision: "older than what it holds",
};

/** Named in one line. */
const refusedShownMax = 3;

/** Seen by whom at which epoch and revision, and found at which. */
export function describeBehind({ reason, witness, witnessed, found }: Extract<StoreStanding, { readonly state: "behind" }>): string {
  return `${behindWords[reason]} (${witness} saw epoch ${witnessed.epoch}, revision ${witnessed.revision}; it is at epoch ${found.epoch}, revision ${found.revision})`;
}
