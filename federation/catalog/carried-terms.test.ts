import { afterEach, beforeEach, expect, it } from "vitest";
import type { TrustDomainName } from "#federation/model/names.ts";
import { apiVersion, type Relationship, type RelationshipSpec } from "#federation/model/resource.ts";
import { encodePeerResource, readPeerResource } from "#federation/model/parse/parse-resource.ts";
import { systemClock } from "#federation/runtime/clock.ts";
import { VirtualClock } from "#federation/runtime/virtual-clock.ts";
import { openSqliteStore, type SqliteStore } from "#federation/store/sqlite-store.ts";
import { silentLogger } from "#federation/telemetry/logger.ts";
import { signedObjectBytesMax } from "#federation/wire/limits.ts";
import { Catalog } from "./catalog.ts";

const { signal } = new AbortController();
let store: SqliteStore;
let catalog: Catalog;

beforeEach(async () => {
  store = await openSqliteStore({ path: ":memory:", clock: systemClock, logger: silentLogger });
  catalog = new Catalog({ store, clock: new VirtualClock(), onFault: ({ error }) => { throw error; } });
});
afterEach(async () => await store[Symbol.asyncDispose]());

const spec = (over: Partial<RelationshipSpec["callee"]> = {}, validUntil = "2099-01-01T00:00:00Z"): RelationshipSpec => ({
  caller: { trustDomain: "shop.example" as TrustDomainName, authoritySha256: "ab".repeat(32), principals: ["*"] },
  callee: { trustDomain: "pay.example" as TrustDomainName, authoritySha256: "cd".repeat(32), services: ["core/payments"], ...over },
  validUntil,
});
const apply = async (next: RelationshipSpec, labels = {}): Promise<Relationship> =>
  (await catalog.resources("Relationship").apply({ apiVersion, kind: "Relationship", metadata: { name: "checkout", labels }, spec: next }, {}, signal)).resource;
const approvals = (["callee", "caller"] as const).map((side) => ({ side, signature: "x".repeat(86), approvedAt: "2026-01-01T00:00:00Z" }));
const approve = async (): Promise<unknown> => await catalog.resources("Relationship").setStatus("checkout", () => ({ approvals }), signal);

it("keeps beside another spec what both sides had approved, in the same write, and nothing beside another label", async () => {
  await apply(spec());
  await approve();
  expect((await apply(spec(), { team: "pay" })).status).toEqual({ approvals });
  const changed = await apply(spec({ services: ["core/payments", "core/ledger"] }));
  expect(changed.status).toEqual({ approvals: approvals.map((one) => ({ ...one, terms: "agreed" })), agreed: { terms: spec(), approvals } });
  expect((await catalog.resources("Relationship").get("checkout", signal))?.value).toEqual(changed);
  expect(readPeerResource("Relationship", encodePeerResource(changed))).toEqual(changed);
  expect((await apply(spec())).status).toEqual({ approvals });
});

it("has room for the largest terms beside other largest ones that were agreed, and refuses more with a word of what to do", async () => {
  const names = (letter: string): readonly string[] => Array.from({ length: 256 }, (_, index) => `${letter.repeat(63)}/${String(index).padStart(63, letter)}`);
  const largest = (letter: string): RelationshipSpec => {
    const one = spec({ services: names(letter) });
    return { ...one, caller: { ...one.caller, principals: names(letter).map((name) => `ns/${name.replace("/", "/sa/")}`) } };
  };
  await apply(largest("a"));
  await approve();
  const proposed = await apply(largest("b"));
  expect(encodePeerResource(proposed).length).toBeLessThan(signedObjectBytesMax - 16 * 1024);
  await catalog.resources("Relationship").setStatus("checkout", ({ status }) => ({ ...status, approvals: approvals.map((one) => (one.side === "caller" ? one : { ...one, terms: "agreed" as const })) }), signal);
  await expect(apply(largest("c"))).rejects.toMatchObject({ code: "ATOLL_REQUEST_INVALID", message: expect.stringContaining("have both sides approve what is proposed before the next change") });
  expect((await apply(spec())).spec).toEqual(spec());
});
