import { expect, it } from "vitest";
import { apiVersion, type Region } from "#federation/model/resource.ts";
import { AtollError } from "#federation/runtime/errors.ts";
import { withLastKnown } from "./last-known-backend.ts";
import type { ResourceBackend } from "./resource-routes.ts";

const { signal } = new AbortController();
const region = (displayName: string, revision: number): Region => ({ apiVersion, kind: "Region", metadata: { name: "here", revision }, spec: { displayName } });
const held = { id: "here", value: region("held", 7), revision: 7 };

/** A backend that answers, or whose store is away. */
function backendOf(outcome: "answers" | "away" | "broken"): ResourceBackend<"Region"> & { asked: number } {
  const counted = {
    asked: 0,
    async read<T>(answer: T): Promise<T> {
      counted.asked++;
      if (outcome === "answers") return await Promise.resolve(answer);
      throw new AtollError(outcome === "away" ? "ATOLL_STORE_UNAVAILABLE" : "ATOLL_STORE_CORRUPT", "no");
    },
    get: async () => await counted.read({ value: region("stored", 9), revision: 9 }),
    list: async () => await counted.read({ items: [{ id: "here", value: region("stored", 9) }], revision: 9 }),
    changes: () => {
      throw new Error("nobody watches");
    },
    apply: async () => await counted.read({ outcome: "unchanged" as const, resource: region("stored", 9) }),
    remove: async () => await counted.read(true),
  };
  return counted;
}

function over(outcome: "answers" | "away" | "broken", { isAway = false, loaded = true } = {}) {
  const backend = backendOf(outcome);
  const state = { current: { loaded, items: new Map([["here", held]]), revision: 7 } };
  return { backend, known: withLastKnown<"Region">(backend, { isAway: () => isAway, state }) };
}

it("reads the store while it answers", async () => {
  const { known } = over("answers");
  expect((await known.get("here", signal))?.revision).toBe(9);
  expect((await known.list(signal)).revision).toBe(9);
});

it("reads what is held where the store does not answer, and does not ask one that is known to be away", async () => {
  expect(await over("away").known.get("here", signal)).toEqual(held);
  const { backend, known } = over("away", { isAway: true });
  expect([await known.get("here", signal), await known.get("there", signal), await known.list(signal)]).toEqual([held, undefined, { items: [held], revision: 7 }]);
  expect(backend.asked).toBe(0);
});

it("takes nothing for known that was never read, and no other failure for an absence", async () => {
  await expect(over("away", { isAway: true, loaded: false }).known.list(signal)).rejects.toMatchObject({ code: "ATOLL_STORE_UNAVAILABLE" });
  await expect(over("broken").known.get("here", signal)).rejects.toMatchObject({ code: "ATOLL_STORE_CORRUPT" });
});

it("leaves writes to the store", async () => {
  const { known } = over("away", { isAway: true });
  await expect(known.apply(region("new", 0), {}, signal)).rejects.toMatchObject({ code: "ATOLL_STORE_UNAVAILABLE" });
  await expect(known.remove("here", {}, signal)).rejects.toMatchObject({ code: "ATOLL_STORE_UNAVAILABLE" });
});
