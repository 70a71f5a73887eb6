import { expect, it } from "vitest";
import type { ReceivedDeltaResponse } from "#federation/wire/discovery-messages.ts";
import { partVersion } from "#federation/wire/discovery-parts.ts";
import { heldVersionsBytes, streamNamesMax } from "#federation/wire/limits.ts";
import { HeldResources } from "./held-resources.ts";

const typeUrl = "type.example/Service";
const heldOf = (count: number, version = "1"): ReadonlyMap<string, string> => new Map(Array.from({ length: count }, (_, index) => [`r${index}`, version]));
const response = (names: readonly string[], over: Partial<ReceivedDeltaResponse> = {}): ReceivedDeltaResponse => ({
  typeUrl,
  nonce: "1",
  systemVersion: "",
  resources: names.map((name) => ({ name, version: "2", typeUrl, value: new Uint8Array() })),
  removed: [],
  ...over,
});

it("names all that it holds where a request has room for it, and leaves it to the plane to say what is gone", () => {
  const held = new HeldResources(heldOf(2));
  expect(held.named).toEqual({ r0: "1", r1: "1" });
  expect(held.completed(response([], { removed: ["r0"] })).removed).toEqual(["r0"]);
});

it("names as many as a stream may, and no more bytes than a request has room for", () => {
  expect(Object.keys(new HeldResources(heldOf(streamNamesMax + 2)).named)).toHaveLength(streamNamesMax);
  expect(Object.keys(new HeldResources(heldOf(3, "v".repeat(heldVersionsBytes * 0.4))).named)).toEqual(["r0", "r1"]);
});

it("takes for gone what it did not name and was not told again, when the plane has told all", () => {
  const [first, second, third] = [0, 1, 2].map((more) => `r${streamNamesMax + more}`) as [string, string, string];
  const held = new HeldResources(heldOf(streamNamesMax + 3));
  expect(held.completed(response([first], { systemVersion: partVersion })).removed).toEqual([]);
  // As often as the last part is refused and comes again.
  for (let tries = 0; tries < 2; tries++) expect(held.completed(response([third], { removed: ["r0"] })).removed).toEqual(["r0", second]);
  held.taken(response([third], { removed: ["r0"] }));
  expect(held.completed(response([])).removed).toEqual([]);
});
