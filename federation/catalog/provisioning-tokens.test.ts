import { createHash } from "node:crypto";
import { afterEach, describe, expect, it } from "vitest";
import { systemClock } from "#federation/runtime/clock.ts";
import { describeError } from "#federation/runtime/errors.ts";
import type { JoinPurpose } from "#federation/model/join-purpose.ts";
import { createProvisioningId, provisioningLimits } from "#federation/model/provisioning-token.ts";
import { openSqliteStore } from "#federation/store/sqlite-store.ts";
import { storeLimits } from "#federation/store/store-limits.ts";
import type { Store } from "#federation/store/store.ts";
import { silentLogger } from "#federation/telemetry/logger.ts";
import { Catalog } from "./catalog.ts";
import { joinRefusalLabel } from "#federation/model/join-refusal.ts";
import { keys } from "./keys.ts";
import { admitJoiner } from "./admit-joiner.ts";
import type { TokenAttempt } from "./provisioning-tokens.ts";
import { recordCodecs } from "./record-codecs.ts";

const { signal } = new AbortController();
const secret = new Uint8Array(32).fill(7);
const id = createProvisioningId("t1");
const request = { id, secret, purpose: { kind: "gateway" }, usesMax: 5, lifeMs: 60_000, cidrs: [] } as const;
const stores: Store[] = [];

afterEach(async () => {
  for (const store of stores.splice(0)) await store[Symbol.asyncDispose]();
});

async function open(): Promise<{ readonly catalog: Catalog; readonly store: Store }> {
  const store = await openSqliteStore({ path: ":memory:", clock: systemClock, logger: silentLogger });
  stores.push(store);
  return { store, catalog: new Catalog({ store, clock: systemClock, onFault: ({ error }) => { throw error; } }) };
}

function key(name: string | number): string {
  return createHash("sha256").update(String(name)).digest("hex");
}

async function useToken(catalog: Catalog, { id: tokenId, secret: tokenSecret, ...attempt }: TokenAttempt, nowMs: number, inner: AbortSignal): Promise<JoinPurpose> {
  const attestation = { rules: [], verify: () => Promise.reject(new Error("no document was shown")) };
  return (await admitJoiner({ catalog, attestation }, { ...attempt, proof: { kind: "token", id: tokenId, secret: tokenSecret } }, nowMs, inner)).purpose;
}

function by(name: string | number, more: Partial<TokenAttempt> = {}): TokenAttempt {
  return { id, secret, keySha256: key(name), address: "10.0.0.9", isWanted: (purpose: JoinPurpose) => purpose.kind === "gateway", ...more };
}

describe("provisioning tokens", () => {
  it("let in exactly as many keys as they have uses, however many come at once, and remember which", async () => {
    const { catalog } = await open();
    await catalog.provisioningTokens.create(request, 1_000, signal);
    const outcomes = await Promise.allSettled(Array.from({ length: 30 }, async (_, index) => await useToken(catalog, by(index), 2_000, signal)));
    expect(outcomes.filter(({ status }) => status === "fulfilled")).toHaveLength(5);
    for (const outcome of outcomes) if (outcome.status === "rejected") expect(joinRefusalLabel(outcome.reason)).toBe("ATOLL_JOIN_TOKEN_REFUSED:exhausted");
    const winners = outcomes.flatMap(({ status }, index) => (status === "fulfilled" ? [key(index)] : []));
    const { uses } = await catalog.provisioningTokens.get(id, signal);
    expect(uses.map((use) => use.keySha256).toSorted()).toEqual(winners.toSorted());
    expect(new Set(uses.map(({ address, atMs }) => `${address} ${atMs}`))).toEqual(new Set(["10.0.0.9 2000"]));
  });

  it("count a key once, also when its attempts race, and let it in again when all uses are gone", async () => {
    const { catalog } = await open();
    await catalog.provisioningTokens.create({ ...request, usesMax: 1 }, 1_000, signal);
    const racing = await Promise.all(Array.from({ length: 10 }, async () => await useToken(catalog, by("same"), 2_000, signal)));
    expect(racing).toHaveLength(10);
    expect((await catalog.provisioningTokens.get(id, signal)).uses).toHaveLength(1);
    await expect(useToken(catalog, by("other"), 3_000, signal)).rejects.toMatchObject({ code: "ATOLL_JOIN_TOKEN_REFUSED" });
    expect(await useToken(catalog, by("same"), 4_000, signal)).toEqual({ kind: "gateway" });
  });

  it("refuse in one and the same words, tell the log why, and count nothing", async () => {
    const { catalog } = await open();
    await catalog.provisioningTokens.create({ ...request, cidrs: ["10.0.0.0/8"] }, 1_000, signal);
    const cases: readonly (readonly [string, TokenAttempt, number])[] = [
      ["unknown", by(1, { id: createProvisioningId("t2") }), 2_000],
      ["unknown", by(1, { id: `${createProvisioningId("t1")}/../t1` }), 2_000],
      ["secret", by(1, { secret: new Uint8Array(32) }), 2_000],
      ["expired", by(1), 61_000],
      ["address", by(1, { address: "192.0.2.1" }), 2_000],
      ["purpose", by(1, { isWanted: ({ kind }) => kind === "workload" }), 2_000],
    ];
    for (const [reason, attempt, nowMs] of cases) {
      const error = await useToken(catalog, attempt, nowMs, signal).then(() => undefined, (caught: unknown) => caught);
      expect(String(error), reason).toBe("AtollError: the join token cannot be used");
      // The path-like id has no provisioning id's form, so that it is judged, and refused, as a single-use token's.
      if (!attempt.id.includes("/")) expect([joinRefusalLabel(error), describeError(error)]).toEqual([`ATOLL_JOIN_TOKEN_REFUSED:${reason}`, `the join token cannot be used: ${reason}`]);
    }
    expect((await catalog.provisioningTokens.get(id, signal)).uses).toEqual([]);
    expect(await useToken(catalog, by(1, { address: "::ffff:10.1.2.3" }), 60_999, signal)).toEqual({ kind: "gateway" });
    expect((await catalog.provisioningTokens.get(id, signal)).uses[0]?.address).toBe("10.1.2.3");
  });

  it("are over when revoked, for keys that were let in too, and stay in the list until they expire", async () => {
    const { catalog, store } = await open();
    await catalog.provisioningTokens.create(request, 1_000, signal);
    await useToken(catalog, by(1), 2_000, signal);
    expect(await catalog.provisioningTokens.revoke(id, signal)).toBe(true);
    expect(await catalog.provisioningTokens.revoke(id, signal)).toBe(false);
    await expect(useToken(catalog, by(1), 3_000, signal)).rejects.toMatchObject({ details: { reason: "revoked" } });
    expect(await catalog.provisioningTokens.list(signal)).toMatchObject([{ id, isRevoked: true }]);
    await expect(catalog.provisioningTokens.revoke(createProvisioningId("t9"), signal)).rejects.toMatchObject({ code: "ATOLL_NOT_FOUND" });
    await catalog.provisioningTokens.create({ ...request, id: createProvisioningId("t2") }, 61_000, signal);
    expect((await store.list(keys.provisioningTokens, signal)).entries.map((entry) => entry.key)).toEqual([`${keys.provisioningTokens}${createProvisioningId("t2")}`]);
  });

  it("have bounds, and keep no secret at rest", async () => {
    const { catalog, store } = await open();
    const { usesMax, lifeSecondsMax, cidrsMax } = provisioningLimits;
    for (const bad of [{ usesMax: 0 }, { usesMax: usesMax + 1 }, { usesMax: 1.5 }, { lifeMs: lifeSecondsMax * 1_000 + 1 }, { lifeMs: 0 }, { secret: new Uint8Array(16) }, { id: "t1" }, { cidrs: ["10.0.0.1"] }, { cidrs: Array.from({ length: cidrsMax + 1 }, () => "10.0.0.0/8") }]) {
      await expect(catalog.provisioningTokens.create({ ...request, ...bad }, 0, signal)).rejects.toMatchObject({ code: "ATOLL_REQUEST_INVALID" });
    }
    await catalog.provisioningTokens.create(request, 1_000, signal);
    const [entry] = (await store.list(keys.provisioningTokens, signal)).entries;
    for (const form of ["base64url", "hex", "base64"] as const) expect(Buffer.from(entry?.value ?? []).includes(Buffer.from(secret).toString(form))).toBe(false);
    await expect(catalog.provisioningTokens.create(request, 1_000, signal)).rejects.toMatchObject({ code: "ATOLL_STORE_CONFLICT" });
  });

  it("are kept up to a number, and one with all its uses fits a store", async () => {
    const { catalog } = await open();
    for (let index = 0; index < provisioningLimits.tokensMax; index++) await catalog.provisioningTokens.create({ ...request, id: createProvisioningId(`n${index}`) }, 1_000, signal);
    await expect(catalog.provisioningTokens.create(request, 1_000, signal)).rejects.toMatchObject({ code: "ATOLL_STORE_FULL" });
    const uses = Array.from({ length: provisioningLimits.usesMax }, (_, index) => ({ keySha256: key(index), address: "f".repeat(64), atMs: Number.MAX_SAFE_INTEGER }));
    const record = { ...(await catalog.provisioningTokens.get(createProvisioningId("n0"), signal)), uses };
    expect(recordCodecs.provisioningToken.encode(record).length).toBeLessThan(storeLimits.valueBytesMax / 2);
  });

  it("leave single-use tokens as they were, which a use for something else uses up", async () => {
    const { catalog } = await open();
    await catalog.joinTokens.create({ id: "once", secret, purpose: { kind: "gateway" }, lifeMs: 60_000 }, 1_000, signal);
    await expect(useToken(catalog, by(1, { id: "once", isWanted: () => false }), 2_000, signal)).rejects.toMatchObject({ code: "ATOLL_JOIN_TOKEN_REFUSED" });
    await expect(useToken(catalog, by(1, { id: "once" }), 2_000, signal)).rejects.toMatchObject({ code: "ATOLL_JOIN_TOKEN_REFUSED" });
  });
});
