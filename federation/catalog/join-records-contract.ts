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
