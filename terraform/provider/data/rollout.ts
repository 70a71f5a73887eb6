import { followRollout } from "#federation/admin-api/follow-rollout.ts";
import { rolloutRoute } from "#federation/admin-api/rollout-route.ts";
import { describeMissing, rolloutRows, type RolloutRow } from "#federation/admin-api/rollout-rows.ts";
import { kindInfos, kinds, resourceId, type Kind } from "#federation/model/resource.ts";
import { systemClock } from "#federation/runtime/clock.ts";
import { AtollError } from "#federation/runtime/errors.ts";
import { requiredText, textOf, type CtyObject } from "../cty/values.ts";
import type { ReadSource } from "../managed.ts";
import type { Attribute, AttributeType } from "../schema/attributes.ts";
import { bool, number, read, text } from "./read-attribute.ts";

/** How long is waited: unless told, and at most. */
const waitSeconds = { usual: 60, max: 600 } as const;

/** Longest wait of one question; half of what a call may take, so that an answer is not given up for its wait. */
const questionSecondsMax = 10;

const writtenKinds = kinds.filter((kind) => kindInfos[kind].owner !== "derived");

function given(name: string, type: AttributeType, use: Attribute["use"], description: string): Attribute {
  return { name, field: name, type, use, description };
}

/** `atoll_rollout`: waits until the clusters and their proxies have a resource as it is now. */
export const rollout: ReadSource = {
  schema: {
    description:
      "Whether the clusters, and their proxies, have a resource as it is now: as `atoll wait`. It waits for that, and fails when the time is over and somebody has not got it; whatever depends on it is not applied then, and what was written stays. Give it the resource's `generation`, so that it is read after the resource is written.",
    attributes: [
      given("kind", text, "required", `One of ${writtenKinds.join(", ")}.`),
      given("cluster", text, "optional", "The cluster whose plane keeps it, for the kinds that clusters keep."),
      given("namespace", text, "optional", "For the kinds that have one."),
      given("name", text, "required", "Of the resource."),
      given("generation", number, "optional", "The resource's `generation`: not judged, it puts this after the write."),
      given("wait_seconds", number, "optional", `How long to wait, from 0 to ${waitSeconds.max}. ${waitSeconds.usual} unless told.`),
      given("may_be_incomplete", bool, "optional", "Answer `done` false instead of failing. False unless told."),
      read("done", bool, "Nothing is missing of anybody."),
      read(
        "clusters",
        {
          kind: "objectList",
          attributes: [read("name", text, ""), read("state", text, "`done`, `pending`, `unreachable` or `refused`."), read("proxies_done", number, "Those that have it; null where nobody could say."), read("proxies_total", number, ""), read("detail", text, "Who is missing, or why something is not known.")],
        },
        "Those that the resource concerns.",
      ),
    ],
  },
  async read(config, planes, signal) {
    const kind = kindOf(config);
    const cluster = clusterOf(config, kind);
    const path = pathOf(config, kind);
    const waitMs = waitSecondsOf(config) * 1_000;
    const write = { kind, path, plane: cluster ?? "global", deleted: false };
    const words = await followRollout(
      write,
      {
        ask: async (plane, _kind, params, query, inner) => (await planes.of(plane === "global" ? undefined : plane).call(rolloutRoute(kind), { params, query }, inner)).body,
        clusters: planes.clusters,
        endMs: systemClock.monotonicMs() + waitMs,
        waitSeconds: Math.max(1, Math.min(questionSecondsMax, Math.floor(planes.timeoutMs / 2_000))),
        onWord: () => {},
        clock: systemClock,
      },
      signal,
    );
    const rows = rolloutRows(write, words);
    const done = rows.every(({ state }) => state === "done");
    if (!done && config["may_be_incomplete"] !== true) {
      throw new AtollError("ATOLL_ROLLOUT_INCOMPLETE", `${kind} ${resourceId(path)} after ${waitMs / 1_000} s: ${describeMissing(rows)}`, { details: { attribute: "name" } });
    }
    return { ...config, done, clusters: rows.map(clusterState) };
  },
};

function clusterState({ cluster, state, proxies, detail }: RolloutRow): CtyObject {
  return { name: cluster, state, proxies_done: proxies?.done ?? null, proxies_total: proxies?.total ?? null, detail };
}

function kindOf(config: CtyObject): Kind {
  const found = requiredText(config, "kind");
  const kind = writtenKinds.find((one) => one === found);
  return kind ?? refuse("kind", `found ${JSON.stringify(found)}, expected one of ${writtenKinds.join(", ")}`);
}

function clusterOf(config: CtyObject, kind: Kind): string | undefined {
  const cluster = textOf(config["cluster"]);
  const isOfCluster = kindInfos[kind].owner === "cluster";
  if (isOfCluster === (cluster !== undefined)) return cluster;
  return refuse("cluster", isOfCluster ? `found none, expected the cluster whose plane keeps the ${kind}` : `found ${JSON.stringify(cluster)}, expected none: a ${kind} belongs to the whole federation`);
}

function pathOf(config: CtyObject, kind: Kind): { readonly name: string; readonly namespace?: string } {
  const name = requiredText(config, "name");
  const namespace = textOf(config["namespace"]);
  if (kindInfos[kind].namespaced === (namespace !== undefined)) return namespace === undefined ? { name } : { namespace, name };
  return refuse("namespace", namespace === undefined ? `found none, expected that of the ${kind}` : `found ${JSON.stringify(namespace)}, expected none: a ${kind} has none`);
}

function waitSecondsOf({ wait_seconds: wait }: CtyObject): number {
  if (typeof wait !== "number") return waitSeconds.usual;
  return wait >= 0 && wait <= waitSeconds.max ? wait : refuse("wait_seconds", `found ${wait}, expected 0 to ${waitSeconds.max}`);
}

function refuse(attribute: string, words: string): never {
  throw new AtollError("ATOLL_REQUEST_INVALID", `${attribute}: ${words}`, { details: { attribute } });
}
