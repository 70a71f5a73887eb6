import { createHash } from "node:crypto";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { systemClock } from "#federation/runtime/clock.ts";
import type { Attested } from "#federation/model/attestation.ts";
import { joinRefusalLabel } from "#federation/model/join-refusal.ts";
import { createProvisioningId, provisioningLimits } from "#federation/model/provisioning-token.ts";
import type { Store } from "#federation/store/store.ts";
import { admitJoiner } from "./admit-joiner.ts";
import { Catalog } from "./catalog.ts";
import { keys } from "./keys.ts";
import { recordCodecs } from "./record-codecs.ts";

const secret = new Uint8Array(32).fill(7);
const id = createProvisioningId("many");
const sha = (text: string | number): string => createHash("sha256").update(String(text)).digest("hex");
const refused = (why: string): string => `ATOLL_JOIN_TOKEN_REFUSED:${why}`;

/** What the records by which one joins must hold on every store, with two replicas of a plane writing at once. */
export function describeJoinRecordsContract(name: string, open: () => Promise<Store>): void {
  describe(`records of joining: ${name}`, () => {
    let store: Store;
    let replicas: readonly Catalog[];
    let stop: AbortController;
    let signal: AbortSignal;

    beforeEach(async () => {
      stop = new AbortController();
      signal = stop.signal;
      store = await open();
      replicas = [0, 1].map(() => new Catalog({ store, clock: systemClock, onFault: ({ error }) => { throw error; } }));
    });
    afterEach(async () => {
      stop.abort();
      await store[Symbol.asyncDispose]();
    });

    const replica = (index: number): Catalog => {
      const catalog = replicas[index % replicas.length];
      if (catalog === undefined) throw new Error("there is no replica");
      return catalog;
    };
    const verify = (_kind: string, document: string): Promise<Attested> =>
      Promise.resolve({ source: "pods", documentSha256: sha(document), facts: { namespace: "web" }, subject: "web/edge", newKeyUntilMs: 50_000, rememberUntilMs: 60_000 });
    const attestation = { verify, rules: [{ source: "pods", facts: { namespace: "web" }, gives: { kind: "gateway" }, cidrs: [] }] } as const;
    const token = (tokenId: string) => ({ kind: "token", id: tokenId, secret }) as const;
    const document = (text: string) => ({ kind: "attestation", source: "kubernetes", document: text }) as const;
    const join = async (at: number, proof: ReturnType<typeof token> | ReturnType<typeof document>, key: string | number, nowMs = 2_000) =>
      await admitJoiner({ catalog: replica(at), attestation }, { proof, keySha256: sha(key), address: "10.0.0.9", isWanted: ({ kind }) => kind === "gateway" }, nowMs, signal);
    /** The labels of what became of several who come at once, those who were let in first. */
    const outcomesOf = async (attempts: readonly Promise<unknown>[]): Promise<readonly string[]> =>
      (await Promise.allSettled(attempts)).map((outcome) => (outcome.status === "fulfilled" ? "in" : joinRefusalLabel(outcome.reason))).toSorted((a, b) => Number(b === "in") - Number(a === "in"));

    it("let in by a token for many exactly as many keys as it has uses, whichever replica they come to", async () => {
      await replica(0).provisioningTokens.create({ id, secret, purpose: { kind: "gateway" }, usesMax: 5, lifeMs: 60_000, cidrs: ["10.0.0.0/8"] }, 1_000, signal);
      const outcomes = await outcomesOf(Array.from({ length: 20 }, async (_, index) => await join(index, token(id), index)));
      expect(outcomes).toEqual([...Array<string>(5).fill("in"), ...Array<string>(15).fill(refused("exhausted"))]);
      const { uses } = await replica(1).provisioningTokens.get(id, signal);
      expect(new Set(uses.map(({ keySha256 }) => keySha256)).size).toBe(5);
      // Who is in may come again, at either replica, and is not counted.
      const [winner] = uses;
      const first = Array.from({ length: 20 }, (_, index) => index).find((index) => sha(index) === winner?.keySha256);
      for (const at of [0, 1]) expect(await join(at, token(id), first ?? -1, 3_000)).toEqual({ purpose: { kind: "gateway" } });
      expect((await replica(0).provisioningTokens.get(id, signal)).uses).toHaveLength(5);
    });

    it("end a token at every replica when one revokes it", async () => {
      await replica(0).provisioningTokens.create({ id, secret, purpose: { kind: "gateway" }, usesMax: 5, lifeMs: 60_000, cidrs: [] }, 1_000, signal);
      await join(0, token(id), "a");
      expect(await Promise.all([replica(0).provisioningTokens.revoke(id, signal), replica(1).provisioningTokens.revoke(id, signal)]).then((answers) => answers.toSorted())).toEqual([false, true]);
      expect(await outcomesOf([join(0, token(id), "a"), join(1, token(id), "b")])).toEqual([refused("revoked"), refused("revoked")]);
    });

    it("let in by a token for one exactly one of many", async () => {
      await replica(0).joinTokens.create({ id: "once", secret, purpose: { kind: "gateway" }, lifeMs: 60_000 }, 1_000, signal);
      const outcomes = await outcomesOf(Array.from({ length: 10 }, async (_, index) => await join(index, token("once"), index)));
      expect(outcomes).toEqual(["in", ...Array<string>(9).fill("ATOLL_JOIN_TOKEN_REFUSED")]);
    });

    it("let in by a document exactly one key, whichever replica it comes to, and that key again", async () => {
      const outcomes = await outcomesOf(Array.from({ length: 10 }, async (_, index) => await join(index, document("d1"), index)));
      expect(outcomes).toEqual(["in", ...Array<string>(9).fill(refused("replayed"))]);
      const [record] = await replica(0).attestations.list(signal);
      const winner = Array.from({ length: 10 }, (_, index) => index).find((index) => sha(index) === record?.keySha256) ?? -1;
      for (const at of [0, 1]) expect(await join(at, document("d1"), winner, 40_000)).toMatchObject({ purpose: { kind: "gateway" }, attested: { subject: "web/edge" } });
      expect(await outcomesOf([join(0, document("d2"), "late", 50_000)])).toEqual([refused("expired")]);
    });

    /** A catalog that notes what it asks of the store. */
    const noting = (calls: string[]): Catalog => {
      const counting: Store = {
        get: (key, inner) => (calls.push("get"), store.get(key, inner)),
        list: (prefix, inner) => (calls.push("list"), store.list(prefix, inner)),
        commit: (transaction, inner) => (calls.push(`commit of ${transaction.writes.length}`), store.commit(transaction, inner)),
        watch: (prefix, inner) => store.watch(prefix, inner),
        grantLease: (ttlMs, inner) => store.grantLease(ttlMs, inner),
        [Symbol.asyncDispose]: async () => {},
      };
      return new Catalog({ store: counting, clock: systemClock, onFault: ({ error }) => { throw error; } });
    };

    it("make a token for one without reading those that wait, but once in a minute", async () => {
      const calls: string[] = [];
      const { joinTokens } = noting(calls);
      const create = async (name: string, nowMs: number): Promise<readonly string[]> => {
        calls.length = 0;
        await joinTokens.create({ id: name, secret, purpose: { kind: "gateway" }, lifeMs: 30_000 }, nowMs, signal);
        return [...calls];
      };
      expect(await create("first", 1_000_000)).toEqual(["list", "commit of 1"]);
      for (let index = 0; index < 50; index++) expect(await create(`n${index}`, 1_000_000 + index)).toEqual(["commit of 1"]);
      // All of them are over, and go one by one.
      expect((await create("next", 1_060_000)).filter((call) => call === "commit of 1")).toHaveLength(52);
      expect((await store.list(keys.joinTokens, signal)).entries.map(({ key }) => key)).toEqual([`${keys.joinTokens}next`]);
    });

    it("make a token for many by one read and one transaction, whatever tokens there are", async () => {
      const calls: string[] = [];
      const { provisioningTokens } = noting(calls);
      const create = async (name: string, lifeMs: number, nowMs: number): Promise<readonly string[]> => {
        calls.length = 0;
        await provisioningTokens.create({ id: createProvisioningId(name), secret, purpose: { kind: "gateway" }, usesMax: 5, lifeMs, cidrs: [] }, nowMs, signal);
        return [...calls];
      };
      // The first one looks for those that an earlier version has made.
      expect(await create("first", 60_000, 1_000)).toEqual(["get", "list", "commit of 2"]);
      for (let index = 0; index < 50; index++) expect(await create(`n${index}`, 30_000, 1_000 + index)).toEqual(["get", "commit of 2"]);
      // Fifty are over: they go with the next one.
      expect(await create("next", 60_000, 40_000)).toEqual(["get", "commit of 52"]);
      expect((await replica(0).provisioningTokens.list(signal)).map((listed) => listed.id).toSorted()).toEqual(["first", "next"].map(createProvisioningId));
      // A day later tokens of a replica of an earlier version are looked for again.
      expect(await create("late", 60_000, 90_000_000)).toEqual(["get", "list", "commit of 4"]);
    });

    it("hold the bound on the number of tokens for many over replicas that make them at once, and take what is over for room", async () => {
      const create = (name: string | number, nowMs: number, lifeMs = 60_000): Promise<unknown> =>
        replica(Number(name)).provisioningTokens.create({ id: createProvisioningId(`n${name}`), secret, purpose: { kind: "gateway" }, usesMax: 5, lifeMs, cidrs: [] }, nowMs, signal);
      for (let index = 0; index < provisioningLimits.tokensMax - 3; index++) await create(index, 1_000, index === 7 ? 10_000 : 60_000);
      const racing = await Promise.allSettled(Array.from({ length: 10 }, async (_, index) => await create(1_000 + index, 2_000)));
      expect(racing.filter(({ status }) => status === "fulfilled")).toHaveLength(3);
      for (const outcome of racing) if (outcome.status === "rejected") expect(outcome.reason).toMatchObject({ code: "ATOLL_STORE_FULL" });
      expect(await replica(1).provisioningTokens.list(signal)).toHaveLength(provisioningLimits.tokensMax);
      await create(2_000, 11_000);
      await expect(create(2_001, 11_000)).rejects.toMatchObject({ code: "ATOLL_STORE_FULL" });
      await expect(create(2_000, 61_500)).rejects.toMatchObject({ code: "ATOLL_STORE_CONFLICT" });
      expect(await replica(0).provisioningTokens.list(signal)).toHaveLength(provisioningLimits.tokensMax);
    });

    it("count tokens anew whose list cannot be read, and those that were made before there was one", async () => {
      const faults: string[] = [];
      const catalog = new Catalog({ store, clock: systemClock, onFault: ({ key }) => void faults.push(key) });
      const create = (name: string): Promise<unknown> => catalog.provisioningTokens.create({ id: createProvisioningId(name), secret, purpose: { kind: "gateway" }, usesMax: 5, lifeMs: 60_000, cidrs: [] }, 1_000, signal);
      for (let index = 0; index < provisioningLimits.tokensMax - 1; index++) await create(`n${index}`);
      const index = `${keys.provisioningIndex}all`;
      await store.commit({ conditions: [], writes: [{ kind: "put", key: index, value: Buffer.from("{") }] }, signal);
      await create("one");
      expect(faults).toEqual([index]);
      await store.commit({ conditions: [], writes: [{ kind: "delete", key: index }] }, signal);
      await expect(create("two")).rejects.toMatchObject({ code: "ATOLL_STORE_FULL" });
    });

    it("hold a token with all its uses, and every token that a plane may have, in one listing", async () => {
      const uses = Array.from({ length: provisioningLimits.usesMax }, (_, index) => ({ keySha256: sha(index), address: "f".repeat(64), atMs: Number.MAX_SAFE_INTEGER }));
      const record = await replica(0).provisioningTokens.create({ id: createProvisioningId("n0"), secret, purpose: { kind: "gateway" }, usesMax: provisioningLimits.usesMax, lifeMs: 60_000, cidrs: [] }, 1_000, signal);
      for (let index = 0; index < provisioningLimits.tokensMax; index++) {
        const full = { ...record, id: createProvisioningId(`n${index}`), uses };
        const write = { kind: "put", key: `${keys.provisioningTokens}${full.id}`, value: recordCodecs.provisioningToken.encode(full) } as const;
        expect((await store.commit({ conditions: [], writes: [write] }, signal)).kind).toBe("committed");
      }
      expect((await replica(1).provisioningTokens.list(signal)).map((listed) => listed.uses.length)).toEqual(Array<number>(provisioningLimits.tokensMax).fill(provisioningLimits.usesMax));
      await expect(join(0, token(createProvisioningId("n0")), "one more")).rejects.toMatchObject({ details: { reason: "exhausted" } });
    });
  });
}
