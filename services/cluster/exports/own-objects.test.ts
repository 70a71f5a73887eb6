import { generateKeyPairSync } from "node:crypto";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { Catalog } from "#federation/catalog/catalog.ts";
import { keys } from "#federation/catalog/keys.ts";
import { VirtualClock } from "#federation/runtime/virtual-clock.ts";
import type { StoreCondition } from "#federation/store/store.ts";
import type { ObjectSigner } from "#federation/wire/signed-object.ts";
import { openTestCatalog, type TestCatalog } from "../catalog-fixture.ts";
import { clusterState } from "../cluster-state-fixture.ts";
import { OwnObjects, tombstonesMax, type OwnContent } from "./own-objects.ts";

const { signal } = new AbortController();
const { self } = clusterState();

function newSigner(): ObjectSigner {
  const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  return { privateKey, chain: [new Uint8Array(publicKey.export({ type: "spki", format: "der" }))] };
}

const content = (text: string, audience: readonly string[] = ["shop.example"]): OwnContent => ({
  fingerprint: text + audience.join(),
  audience,
  encode: (nowMs) => Buffer.from(JSON.stringify({ text, asOfMs: Math.floor(nowMs) })),
});

describe("OwnObjects", () => {
  let test: TestCatalog;
  let signer: ObjectSigner;
  const clock = new VirtualClock();
  const open = (epoch = 1): Promise<OwnObjects> => OwnObjects.open({ self, epoch, catalog: test.catalog, signer: () => signer, clock, mayWrite: true }, signal);
  const said = (own: OwnObjects): readonly string[] =>
    [...own.publication.current.objects.values()].map(({ payload }) => `${payload.key}@${payload.generation.epoch}.${payload.generation.revision}${payload.tombstone ? " gone" : ""}`);

  beforeEach(async () => {
    test = await openTestCatalog();
    signer = newSigner();
  });
  afterEach(() => test[Symbol.asyncDispose]());

  it("signs what is new or different, once, and buries what is left out", async () => {
    const own = await open();
    await own.replaceKind("ServiceExport", new Map([["web/a", content("a")], ["web/b", content("b")]]), signal);
    const first = own.publication.current.objects;
    await own.replaceKind("ServiceExport", new Map([["web/a", content("a")], ["web/b", content("b2")]]), signal);
    expect(said(own)).toEqual(["web/a@1.1", "web/b@1.3"]);
    expect(own.publication.current.objects.get("shop-eu/ServiceExport/web/a")).toBe(first.get("shop-eu/ServiceExport/web/a"));
    await own.replaceKind("ServiceExport", new Map([["web/b", content("b2")]]), signal);
    expect(said(own)).toEqual(["web/a@1.4 gone", "web/b@1.3"]);
    expect(own.get("ServiceExport", "web/a")).toBeUndefined();
  });

  it("reads nothing of what others have said when it begins", async () => {
    const own = await open();
    await own.replaceKind("ServiceExport", new Map([["web/a", content("a")]]), signal);
    for (const origin of ["shop-e", "shop-eu2", "global"]) {
      await test.store.commit({ conditions: [], writes: [{ kind: "put", key: `${keys.objects}${origin}/ServiceExport/web/a`, value: Buffer.from("nothing that can be read") }] }, signal);
    }
    expect(said(await open())).toEqual(["web/a@1.1"]);
  });

  it("leaves other kinds alone", async () => {
    const own = await open();
    await own.put("TrustDomain", "shop.example", content("td"), signal);
    await own.replaceKind("ServiceExport", new Map(), signal);
    expect(own.get("TrustDomain", "shop.example")).toBeDefined();
  });

  it("goes on at higher positions after a restart, without saying again what is said already", async () => {
    const before = await open();
    await before.replaceKind("ServiceExport", new Map([["web/a", content("a")]]), signal);
    await clock.advance(60_000);
    const after = await open();
    await after.replaceKind("ServiceExport", new Map([["web/a", content("a")], ["web/b", content("b")]]), signal);
    expect(said(after)).toEqual(["web/a@1.1", "web/b@1.2"]);
  });

  it("says everything again in a new epoch: the old positions mean nothing there", async () => {
    await (await open()).replaceKind("ServiceExport", new Map([["web/a", content("a")]]), signal);
    expect(said(await open(2))).toEqual(["web/a@2.2"]);
    expect(said(await open(2))).toEqual(["web/a@2.2"]);
  });

  it("signs again under a new key only what an older one signed", async () => {
    const own = await open();
    await own.replaceKind("ServiceExport", new Map([["web/a", content("a")]]), signal);
    await own.renewSignatures(signal);
    expect(said(own)).toEqual(["web/a@1.1"]);
    signer = newSigner();
    await own.renewSignatures(signal);
    expect(said(own)).toEqual(["web/a@1.2"]);
    const [opened] = own.publication.current.objects.values();
    expect(opened?.signed.chain).toEqual(signer.chain);
  });

  it("is stored before it is published", async () => {
    const own = await open();
    await own.put("ServiceExport", "web/a", content("a"), signal);
    expect((await test.catalog.objects.get("shop-eu/ServiceExport/web/a", signal))?.value).toMatchObject({ epoch: 1, revision: 1, origin: "shop-eu" });
    await test.store[Symbol.asyncDispose]();
    await expect(own.put("ServiceExport", "web/b", content("b"), signal)).rejects.toMatchObject({ code: "ATOLL_STORE_UNAVAILABLE" });
    expect(own.get("ServiceExport", "web/b")).toBeUndefined();
  });

  it("publishes no position above the ones that a restart finds: not one whose write failed, nor one whose tombstone was dropped", async () => {
    let isFailing = false;
    const fence: () => readonly StoreCondition[] = () => (isFailing ? [{ kind: "createRevision", key: "/leader", revision: 42 }] : []);
    const catalog = new Catalog({ store: test.store, clock, fence, onFault: ({ error }) => { throw error; } });
    const own = await OwnObjects.open({ self, epoch: 1, catalog, signer: () => signer, clock, mayWrite: true }, signal);
    const one = new Map([["web/a", content("a")]]);
    await own.replaceKind("ServiceExport", one, signal);
    isFailing = true;
    await expect(own.replaceKind("ServiceExport", new Map([["web/a", content("other")]]), signal)).rejects.toMatchObject({ code: "ATOLL_STORE_CONFLICT" });
    isFailing = false;
    await own.replaceKind("ServiceExport", one, signal);
    expect(own.publication.current.revision).toBe((await open()).publication.current.revision);
    await own.replaceKind("ServiceExport", new Map(Array.from({ length: tombstonesMax + 2 }, (_, index) => [`web/s${index}`, content(`s${index}`)])), signal);
    await own.replaceKind("ServiceExport", new Map(), signal);
    expect(own.publication.current.revision).toBe((await open()).publication.current.revision);
  });

  it("stores what it says at the same time together, and knows of what was stored before a write that failed", async () => {
    let commits = 0;
    let failing = Number.POSITIVE_INFINITY;
    const own = await OwnObjects.open(
      {
        self,
        epoch: 1,
        catalog: {
          objects: test.catalog.objects,
          commit: async (ops, inner) => {
            if (++commits === failing) throw new Error("no answer");
            return await test.catalog.commit(ops, inner);
          },
        },
        signer: () => signer,
        clock,
        mayWrite: true,
      },
      signal,
    );
    const all = (text: string): ReadonlyMap<string, OwnContent> => new Map(Array.from({ length: 60 }, (_, index) => [`web/s${String(index).padStart(2, "0")}`, content(text)]));
    await own.replaceKind("ServiceExport", all("a"), signal);
    expect(commits).toBe(2);
    failing = commits + 2;
    await expect(own.replaceKind("ServiceExport", all("b"), signal)).rejects.toThrow("no answer");
    // Half of them say "b" by now, and would go on saying so if the earlier word were still taken for theirs.
    await own.replaceKind("ServiceExport", all("a"), signal);
    const texts = [...own.publication.current.objects.values()].map(({ payload }) => (JSON.parse(Buffer.from(payload.value).toString()) as { readonly text: string }).text);
    expect(new Set(texts)).toEqual(new Set(["a"]));
    expect(said(await open())).toEqual(said(own));
  });

  it("keeps a bounded number of tombstones, the newest", async () => {
    const own = await open();
    const many = new Map(Array.from({ length: tombstonesMax + 2 }, (_, index) => [`web/s${index}`, content(`s${index}`)]));
    await own.replaceKind("ServiceExport", many, signal);
    await own.replaceKind("ServiceExport", new Map(), signal);
    expect(own.publication.current.objects.size).toBe(tombstonesMax);
    expect(own.publication.current.objects.has("shop-eu/ServiceExport/web/s0")).toBe(false);
  });
});
