import { describe, expect, it } from "vitest";
import type { AdminClient } from "#federation/admin-api/client.ts";
import type { RolloutAnswer, RolloutQuery } from "#federation/admin-api/rollout-route.ts";
import { AtollError } from "#federation/runtime/errors.ts";
import type { CtyObject } from "../cty/values.ts";
import type { ProviderPlanes } from "../planes.ts";
import { rollout } from "./rollout.ts";

const { signal } = new AbortController();
const config: CtyObject = { kind: "TrafficPolicy", cluster: null, namespace: "web", name: "slow", generation: 3, wait_seconds: 0, may_be_incomplete: null };

function answer(targets: RolloutAnswer["targets"]): RolloutAnswer {
  const counts = { done: 0, pending: 0, unreachable: 0, refused: 0 };
  for (const { state } of targets) counts[state]++;
  return { kind: "TrafficPolicy", id: "web/slow", generation: { epoch: 1, revision: 7 }, done: counts.done === targets.length, counts, targets, targetsLeftOut: 0, asOfMs: 0, state: "s" };
}

/** Planes that always answer the same; the global one is "global". */
function planesOf(answers: Readonly<Record<string, RolloutAnswer>>) {
  const asked: (readonly [string, RolloutQuery | undefined])[] = [];
  const of = (cluster: string | undefined): AdminClient => {
    const call = async (_route: unknown, { query }: { readonly query?: RolloutQuery }): Promise<{ readonly body: RolloutAnswer | undefined }> => {
      asked.push([cluster ?? "global", query]);
      return { body: answers[cluster ?? "global"] };
    };
    return { call } as unknown as AdminClient;
  };
  const planes: ProviderPlanes = { environment: {}, clusters: Object.keys(answers).filter((name) => name !== "global"), timeoutMs: 30_000, of, signerOf: of };
  return { planes, asked };
}

const missing = answer([{ kind: "cluster", name: "shop-eu", state: "done" }, { kind: "cluster", name: "shop-us", state: "unreachable", heardAgeMs: 9_000 }]);

describe("atoll_rollout", () => {
  it("answers who has the resource, with the proxies of clusters whose planes are known", async () => {
    const { planes, asked } = planesOf({ global: answer([{ kind: "cluster", name: "shop-eu", state: "done" }]), "shop-eu": answer([{ kind: "plane", name: "shop-eu", state: "done" }, { kind: "proxy", name: "a", state: "done" }]) });
    expect(await rollout.read(config, planes, signal)).toEqual({ ...config, done: true, clusters: [{ name: "shop-eu", state: "done", proxies_done: 1, proxies_total: 1, detail: "" }] });
    expect(asked).toEqual([["global", { wait: 0 }], ["shop-eu", { epoch: 1, revision: 7, wait: 0 }]]);
  });

  it("fails when somebody has not got it, and says who, unless it is only to tell", async () => {
    const { planes } = planesOf({ global: missing });
    await expect(rollout.read(config, planes, signal)).rejects.toMatchObject({ code: "ATOLL_ROLLOUT_INCOMPLETE", message: "TrafficPolicy web/slow after 0 s: shop-us: not heard for 9 s", details: { attribute: "name" } });
    expect(await rollout.read({ ...config, may_be_incomplete: true }, planes, signal)).toMatchObject({ done: false, clusters: [{ name: "shop-eu", state: "done", proxies_done: null }, { name: "shop-us", state: "unreachable" }] });
  });

  it.each([
    ["kind", { kind: "ServiceImport" }],
    ["kind", { kind: "policy" }],
    ["namespace", { namespace: null }],
    ["namespace", { kind: "Region" }],
    ["cluster", { cluster: "shop-eu" }],
    ["cluster", { kind: "Service" }],
    ["wait_seconds", { wait_seconds: 601 }],
    ["wait_seconds", { wait_seconds: -1 }],
  ] as const)("says of a wrong %s where it is and what was expected: %j", async (attribute, over) => {
    const failure: unknown = await rollout.read({ ...config, ...over }, planesOf({ global: missing }).planes, signal).catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(AtollError);
    expect(failure).toMatchObject({ code: "ATOLL_REQUEST_INVALID", message: expect.stringMatching(new RegExp(`^${attribute}: found .*, expected `)) as string, details: { attribute } });
  });
});
