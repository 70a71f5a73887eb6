import { createHash } from "node:crypto";
import { afterEach, describe, expect, it } from "vitest";
import { systemClock } from "#federation/runtime/clock.ts";
import { attestationLimits, type Attested } from "#federation/model/attestation.ts";
import { openSqliteStore } from "#federation/store/sqlite-store.ts";
import type { Store } from "#federation/store/store.ts";
import { silentLogger } from "#federation/telemetry/logger.ts";
import { Catalog } from "./catalog.ts";
import { keys } from "./keys.ts";
import { recordCodecs } from "./record-codecs.ts";

const { signal } = new AbortController();
const sha = (text: string): string => createHash("sha256").update(text).digest("hex");
const by = (key: string) => ({ keySha256: sha(key), address: "::ffff:10.0.0.9" });
const attested = (document: string, more: Partial<Attested> = {}): Attested => ({ source: "pods", documentSha256: sha(document), facts: {}, subject: "web/edge", newKeyUntilMs: 10_000, rememberUntilMs: 10_000, ...more });
const refused = (reason: string) => expect.objectContaining({ code: "ATOLL_JOIN_TOKEN_REFUSED", details: { reason } });
const stores: Store[] = [];

afterEach(async () => {
  for (const store of stores.splice(0)) await store[Symbol.asyncDispose]();
});

async function open(): Promise<{ readonly store: Store; readonly attestations: Catalog["attestations"] }> {
  const store = await openSqliteStore({ path: ":memory:", clock: systemClock, logger: silentLogger });
  stores.push(store);
  const { attestations } = new Catalog({ store, clock: systemClock, onFault: ({ error }) => { throw error; } });
  return { store, attestations };
}

describe("attested documents", () => {
  it("are of use to one key, however many come at once, and to that key again", async () => {
    const { attestations } = await open();
    const outcomes = await Promise.allSettled(Array.from({ length: 20 }, async (_, index) => await attestations.use(attested("a"), by(`key-${index}`), 1_000, signal)));
    expect(outcomes.filter(({ status }) => status === "fulfilled")).toHaveLength(1);
    for (const outcome of outcomes) if (outcome.status === "rejected") expect(outcome.reason).toEqual(refused("replayed"));
    const winner = outcomes.findIndex(({ status }) => status === "fulfilled");
    await attestations.use(attested("a"), by(`key-${winner}`), 9_000, signal);
    expect(await attestations.list(signal)).toEqual([{ documentSha256: sha("a"), keySha256: sha(`key-${winner}`), source: "pods", subject: "web/edge", address: "10.0.0.9", usedAtMs: 1_000, rememberUntilMs: 10_000 }]);
  });

  it("are refused to a new key when they are too old for it, and not to the one that had them in time", async () => {
    const { attestations } = await open();
    const lasting = attested("a", { newKeyUntilMs: 5_000, rememberUntilMs: 1_000_000 });
    await expect(attestations.use(lasting, by("late"), 5_000, signal)).rejects.toEqual(refused("expired"));
    await attestations.use(lasting, by("early"), 4_999, signal);
    await attestations.use(lasting, by("early"), 500_000, signal);
    await expect(attestations.use(lasting, by("late"), 500_000, signal)).rejects.toEqual(refused("replayed"));
  });

  it("are remembered longer the longer they are used, and forgotten when nobody could use them any more", async () => {
    const { attestations, store } = await open();
    const dayMs = 86_400_000;
    const lasting = (nowMs: number): Attested => attested("a", { newKeyUntilMs: 5_000, rememberUntilMs: nowMs + 90 * dayMs });
    await attestations.use(lasting(0), by("key"), 0, signal);
    for (const nowMs of [80 * dayMs, 160 * dayMs]) await attestations.use(lasting(nowMs), by("key"), nowMs, signal);
    await attestations.use(attested("b", { newKeyUntilMs: 400 * dayMs, rememberUntilMs: 400 * dayMs }), by("other"), 300 * dayMs, signal);
    expect((await store.list(keys.attestations, signal)).entries.map((entry) => entry.key)).toEqual([`${keys.attestations}${sha("b")}`]);
    await expect(attestations.use(lasting(300 * dayMs), by("key"), 300 * dayMs, signal)).rejects.toEqual(refused("expired"));
  });

  it("are kept up to a number, beyond which newcomers wait until some are over", async () => {
    const { attestations, store } = await open();
    const ops = Array.from({ length: attestationLimits.documentsRemembered }, (_, index) => {
      const value = { documentSha256: sha(String(index)), keySha256: sha("k"), source: "pods", subject: "web/edge", address: "10.0.0.1", usedAtMs: 0, rememberUntilMs: index === 0 ? 2_000 : 9_000 };
      return { kind: "put", key: `${keys.attestations}${value.documentSha256}`, value: recordCodecs.attestation.encode(value) } as const;
    });
    for (let from = 0; from < ops.length; from += 100) await store.commit({ conditions: [], writes: ops.slice(from, from + 100) }, signal);
    await expect(attestations.use(attested("new"), by("key"), 1_000, signal)).rejects.toMatchObject({ code: "ATOLL_JOIN_OVERLOADED" });
    await attestations.use(attested("new"), by("key"), 2_000, signal);
    await expect(attestations.use(attested("newer"), by("key"), 2_000, signal)).rejects.toMatchObject({ code: "ATOLL_JOIN_OVERLOADED" });
  });
});
