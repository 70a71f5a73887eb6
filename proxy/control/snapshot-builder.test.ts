import { beforeEach, describe, expect, it } from "vitest";
import { VirtualClock } from "#federation/runtime/virtual-clock.ts";
import type { ReceivedDeltaResponse, ReceivedResource } from "#federation/wire/discovery-messages.ts";
import { encodeBundle, resourceTypeUrls } from "#federation/wire/discovery-resources.ts";
import { refusedResourcesMax } from "#federation/wire/limits.ts";
import { createTestTrustDomain } from "../tls/identity-fixture.ts";
import { emptyHeldState, RefusedResources, SnapshotBuilder } from "./snapshot-builder.ts";

const typeUrl = resourceTypeUrls.bundle;
const [shop, pay] = [createTestTrustDomain("shop.example"), createTestTrustDomain("pay.example")];
const good = ({ bundle }: typeof shop): ReceivedResource => ({ name: bundle.trustDomain, version: "1", typeUrl, value: encodeBundle(bundle) });
const bad = (name: string): ReceivedResource => ({ name, version: "1", typeUrl, value: Uint8Array.of(0xff) });
const response = (...resources: readonly ReceivedResource[]): ReceivedDeltaResponse => ({ typeUrl, nonce: "1", systemVersion: "", resources, removed: [] });

describe("a response with resources that cannot be used", () => {
  let builder: SnapshotBuilder;
  const refusal = async (refused: ReceivedDeltaResponse): Promise<RefusedResources> => {
    const error: unknown = await builder.apply(refused).then(() => undefined, (reason: unknown) => reason);
    if (!(error instanceof RefusedResources)) throw new Error("it was not refused by name", { cause: error });
    return error;
  };
  beforeEach(() => {
    builder = new SnapshotBuilder(emptyHeldState, new VirtualClock());
  });

  it("is refused by the names of all of them, and nothing of it is held", async () => {
    const { resources, message, code } = await refusal(response(bad("a.example"), good(shop), { ...good(pay), name: "other.example" }));
    expect(resources).toEqual(["a.example", "other.example"]);
    expect([code, message]).toEqual(["ATOLL_WIRE_INVALID", expect.stringMatching(/^a\.example: .*, and 1 more$/)]);
    expect(builder.current).toBe(emptyHeldState);
    await builder.apply(response(good(shop)));
    expect([...builder.current.snapshot.bundles.keys()]).toEqual([shop.bundle.trustDomain]);
  });

  it("is refused by the name of a bundle that must not take the place of the one held, and no other", async () => {
    await builder.apply(response({ ...good(shop), value: encodeBundle({ ...shop.bundle, sequence: 5 }) }));
    const held = builder.current;
    expect((await refusal(response(good(shop), good(pay)))).resources).toEqual([shop.bundle.trustDomain]);
    expect(builder.current).toBe(held);
  });

  it("names so many and no more, and none where it is the response that is wrong", async () => {
    const many = Array.from({ length: refusedResourcesMax + 5 }, (_, index) => bad(`d${index}.example`));
    expect((await refusal(response(...many))).resources).toHaveLength(refusedResourcesMax);
    await expect(builder.apply({ ...response(good(shop)), typeUrl: "unknown" })).rejects.not.toBeInstanceOf(RefusedResources);
  });
});
