import { generateKeyPairSync } from "node:crypto";
import { describe, expect, it } from "vitest";
import { encodeSignedObject, signObject } from "#federation/wire/signed-object.ts";
import { inCalls, latestOf, type HeldObject } from "./held-objects.ts";
import { adminServerLimits } from "./server.ts";
import { heldObjectsMax } from "./store-routes.ts";

const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });

function held(key: string, revision: number, bytes = 1): HeldObject {
  const header = { federation: "demo.atoll", origin: "global", originTrustDomain: "demo.atoll", kind: "TrafficPolicy", key, generation: { epoch: 1, revision }, audience: ["*"], tombstone: false };
  const object = signObject({ ...header, value: Buffer.alloc(bytes, "x") }, { privateKey, chain: [new Uint8Array([1])] });
  return { object, base64: Buffer.from(encodeSignedObject(object.signed)).toString("base64") };
}

describe("what planes hold of another", () => {
  it("counts in the latest form that any of them has", () => {
    const latest = latestOf([[held("a", 1), held("b", 5)], [held("a", 3)], [held("a", 2), held("c", 1)]]);
    expect([...latest].map(([id, { object }]) => [id, object.payload.generation.revision])).toEqual([
      ["global/TrafficPolicy/a", 3],
      ["global/TrafficPolicy/b", 5],
      ["global/TrafficPolicy/c", 1],
    ]);
  });

  it("goes in calls of which each fits a request, all of it, however many and large they are", () => {
    const objects = [...Array.from({ length: 450 }, (_, at) => held(`small-${at}`, 1)), ...Array.from({ length: 12 }, (_, at) => held(`large-${at}`, 1, 150_000))];
    const calls = inCalls(objects);
    expect(calls.flat()).toEqual(objects.map(({ base64 }) => base64));
    for (const call of calls) {
      expect(call.length).toBeLessThanOrEqual(heldObjectsMax);
      expect(JSON.stringify({ decision: "take-newer", objects: call }).length).toBeLessThan(adminServerLimits.bodyBytes);
    }
    expect(inCalls([])).toEqual([]);
  });
});
