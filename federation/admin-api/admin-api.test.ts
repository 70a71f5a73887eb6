import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { maxHeaderSize } from "node:http";
import { request as httpsRequest } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect as connectTls } from "node:tls";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { Catalog } from "#federation/catalog/catalog.ts";
import { systemClock } from "#federation/runtime/clock.ts";
import { parseSpiffeId, parseTrustDomainName } from "#federation/model/spiffe-id.ts";
import { apiVersion, type Cluster, type Region, type Service } from "#federation/model/resource.ts";
import { openSqliteStore } from "#federation/store/sqlite-store.ts";
import type { Store } from "#federation/store/store.ts";
import { silentLogger } from "#federation/telemetry/logger.ts";
import { openAuditFile, type AuditFile } from "./audit-file.ts";
import { AdminClient, type AdminClientOptions } from "./client.ts";
import { createPlaneAccess } from "./plane-access.ts";
import { allGlobalRoutes, globalKinds, globalRoutes } from "./plane-routes.ts";
import { AdminApiError, problemSchema } from "./problem.ts";
import { resourceOperations } from "./resource-routes.ts";
import { defineRoute, implement, type Operation } from "./route.ts";
import { adminServerLimits, openAdminServer, type AdminServer } from "./server.ts";
import { PlaneAdmission } from "./plane-admission.ts";
import { createTestAuthority } from "./tls-fixture.ts";
import { z } from "zod";

const signal = new AbortController().signal;
const federation = parseTrustDomainName("demo.atoll");
const globalId = "spiffe://demo.atoll/atoll/plane/global";
const adminId = "spiffe://demo.atoll/atoll/admin/local";
const viewerId = "spiffe://demo.atoll/atoll/client/viewer";
const authority = createTestAuthority();
const serverTls = authority.issue(globalId);
const adminTls = authority.issue(adminId);

/** Fails in ways that a handler may. */
const failRoute = defineRoute({ operationId: "fail", method: "POST", path: "/api/v1/fail", summary: "Fails", access: "write", answer: z.object({}) });
const hangRoute = defineRoute({ operationId: "hang", method: "GET", path: "/api/v1/hang", summary: "Waits", access: "read", answer: z.object({}) });

let server: AdminServer;
let audit: AuditFile;
const directory = mkdtempSync(join(tmpdir(), "atoll-admin-"));
let store: Store;
let catalog: Catalog;
const errors: unknown[] = [];
const aborted: string[] = [];
let hangs = Promise.withResolvers<void>();
const clients: AdminClient[] = [];
let reads = 0;
/** Hears of what admission refuses. */
let onOverload: (reason: string) => void = () => expect.unreachable();
const admission = new PlaneAdmission({ clock: systemClock, onRefused: ({ requests, reason }) => onOverload(`${requests} ${reason}`) });

beforeAll(async () => {
  audit = await openAuditFile({ path: join(directory, "audit.jsonl"), onFailure: (error) => errors.push(error) });
  store = await openSqliteStore({ path: ":memory:", clock: systemClock, logger: silentLogger });
  catalog = new Catalog({ store: countingReads(store), clock: systemClock, onFault: (fault) => errors.push(fault) });
  server = await openAdminServer({
    address: "127.0.0.1",
    port: 0,
    tls: serverTls,
    operations: operations(),
    openApi: { title: "test", version: "1" },
    ...createPlaneAccess({ bindings: [{ role: "viewer", subject: { spiffeId: viewerId } }] }, () => expect.unreachable()),
    isPlane: () => false,
    audit,
    admission,
    isReady: () => true,
    onError: (error) => errors.push(error),
    onRefused: () => {},
    clock: systemClock,
  });
});

/** The store itself, which counts how often a key is read. */
function countingReads(inner: Store): Store {
  return {
    get(key, inSignal) {
      reads++;
      return inner.get(key, inSignal);
    },
    list: (prefix, inSignal) => inner.list(prefix, inSignal),
    commit: (transaction, inSignal) => inner.commit(transaction, inSignal),
    watch: (prefix, inSignal) => inner.watch(prefix, inSignal),
    grantLease: (ttlMs, inSignal) => inner.grantLease(ttlMs, inSignal),
    [Symbol.asyncDispose]: () => inner[Symbol.asyncDispose](),
  };
}

function operations(): readonly Operation[] {
  return [
    ...resourceOperations("Region", catalog.resources("Region")),
    ...resourceOperations("Cluster", catalog.resources("Cluster")),
    ...resourceOperations("Service", catalog.resources("Service")),
    implement(failRoute, async () => {
      throw new Error("the password is swordfish");
    }),
    implement(hangRoute, async (_request, gone) => {
      hangs.resolve();
      await new Promise<void>((resolve) => gone.addEventListener("abort", () => resolve(), { once: true }));
      aborted.push("hang");
      return { body: {} };
    }),
  ];
}

afterEach(() => {
  for (const client of clients.splice(0)) client[Symbol.dispose]();
});

afterAll(async () => {
  await server[Symbol.asyncDispose]();
  await store[Symbol.asyncDispose]();
  await audit[Symbol.asyncDispose]();
  rmSync(directory, { recursive: true });
});

function connect(changes: Partial<AdminClientOptions> = {}, tls = adminTls): AdminClient {
  const context = {
    server: `127.0.0.1:${server.port}`,
    federation,
    caPem: tls.caPem,
    certificatePem: tls.certificateChainPem,
    privateKeyPem: tls.privateKeyPem,
  };
  const client = new AdminClient({ context, ...changes });
  clients.push(client);
  return client;
}

function region(name: string): Region {
  return { apiVersion, kind: "Region", metadata: { name }, spec: {} };
}

function service(namespace: string, name: string): Service {
  return {
    apiVersion,
    kind: "Service",
    metadata: { namespace, name },
    spec: { ports: [{ name: "http", port: 80, protocol: "http" }], serviceAccounts: [name] },
  };
}

async function failureOf(action: Promise<unknown>): Promise<AdminApiError> {
  const error: unknown = await action.then(() => undefined, (reason: unknown) => reason);
  if (!(error instanceof AdminApiError)) throw new Error("not refused by the server", { cause: error });
  return error;
}

/** A raw request, for what the typed client cannot say. */
async function raw(method: string, path: string, body?: string, headers: Readonly<Record<string, string>> = {}) {
  return await new Promise<{ readonly status: number; readonly text: string; readonly type: string | undefined; readonly retryAfter: string | undefined }>((resolve, reject) => {
    const request = httpsRequest(
      {
        host: "127.0.0.1",
        port: server.port,
        method,
        path,
        ca: adminTls.caPem,
        cert: adminTls.certificateChainPem,
        key: adminTls.privateKeyPem,
        checkServerIdentity: () => undefined,
        headers,
        agent: false,
      },
      (response) => {
        let text = "";
        response.setEncoding("utf8").on("data", (chunk: string) => (text += chunk));
        response.on("end", () => resolve({ status: response.statusCode ?? 0, text, type: response.headers["content-type"], retryAfter: response.headers["retry-after"] }));
      },
    );
    request.on("error", reject);
    request.end(body);
  });
}

describe("resources over the API", () => {
  it("are created, read, changed and deleted", async () => {
    const client = connect();
    const created = await client.apply(region("eu-west"), {}, signal);
    expect(created.isNew).toBe(true);
    expect(created.resource.metadata).toMatchObject({ generation: 1, revision: expect.any(Number) });
    expect(await client.get("Region", { name: "eu-west" }, signal)).toEqual(created.resource);
    const changed = await client.apply({ ...region("eu-west"), spec: { displayName: "Europe" } }, {}, signal);
    expect(changed).toMatchObject({ isNew: false, resource: { spec: { displayName: "Europe" }, metadata: { generation: 2 } } });
    await client.remove("Region", { name: "eu-west" }, {}, signal);
    expect((await failureOf(client.get("Region", { name: "eu-west" }, signal))).problem).toMatchObject({ status: 404, code: "ATOLL_NOT_FOUND" });
    expect((await failureOf(client.remove("Region", { name: "eu-west" }, {}, signal))).code).toBe("ATOLL_NOT_FOUND");
  });

  it("are read once for a write, also one that changes nothing or is a dry run", async () => {
    const client = connect();
    const readsOf = async (work: () => Promise<unknown>): Promise<number> => {
      const before = reads;
      await work();
      return reads - before;
    };
    const named = { ...region("read-once"), spec: { displayName: "x" } };
    expect(await readsOf(() => client.apply(region("read-once"), { dryRun: true }, signal))).toBe(1);
    expect(await readsOf(() => client.apply(region("read-once"), {}, signal))).toBe(1);
    expect(await readsOf(() => client.apply(named, {}, signal))).toBe(1);
    expect(await readsOf(() => client.apply(named, {}, signal))).toBe(1);
    expect((await client.get("Region", { name: "read-once" }, signal)).spec).toEqual({ displayName: "x" });
  });

  it("are written only at the revision that the writer read", async () => {
    const client = connect();
    const { resource } = await client.apply(region("guarded"), { ifRevision: 0 }, signal);
    expect((await failureOf(client.apply({ ...region("guarded"), spec: { displayName: "x" } }, { ifRevision: 0 }, signal))).problem).toMatchObject({
      status: 412,
      code: "ATOLL_STORE_CONFLICT",
    });
    const ifRevision = resource.metadata.revision ?? 0;
    await client.apply({ ...region("guarded"), spec: { displayName: "x" } }, { ifRevision }, signal);
    expect((await failureOf(client.remove("Region", { name: "guarded" }, { ifRevision }, signal))).problem.status).toBe(412);
  });

  it("repeat and hide nothing over pages between which others are written", async () => {
    const client = connect();
    for (const name of ["b", "d", "f"]) await client.apply(service("moving", name), {}, signal);
    const first = JSON.parse((await raw("GET", "/api/v1/services?limit=2&namespace=moving")).text) as { readonly metadata: { readonly continue: string } };
    await client.remove("Service", { namespace: "moving", name: "d" }, {}, signal);
    for (const name of ["a", "c", "e"]) await client.apply(service("moving", name), {}, signal);
    const rest = JSON.parse((await raw("GET", `/api/v1/services?limit=9&namespace=moving&continue=${first.metadata.continue}`)).text) as { readonly items: readonly Service[] };
    expect(rest.items.map((item) => item.metadata.name)).toEqual(["e", "f"]);
  });

  it("are listed page by page and by namespace", async () => {
    const client = connect();
    for (const name of ["a", "b", "c"]) await client.apply(service("page", name), {}, signal);
    await client.apply(service("page-2", "d"), {}, signal);
    const first = await raw("GET", "/api/v1/services?limit=2&namespace=page");
    const page = JSON.parse(first.text) as { readonly metadata: { readonly continue: string }; readonly items: readonly Service[] };
    expect(page.items.map((item) => item.metadata.name)).toEqual(["a", "b"]);
    const second = JSON.parse((await raw("GET", `/api/v1/services?limit=2&namespace=page&continue=${page.metadata.continue}`)).text) as typeof page;
    expect(second.items.map((item) => item.metadata.name)).toEqual(["c"]);
    expect(second.metadata.continue).toBeUndefined();
    expect((await client.list("Service", { namespace: "page" }, signal)).map((item) => item.metadata.name)).toEqual(["a", "b", "c"]);
  });

  it("are followed: everything, then synced, then each change", async () => {
    const client = connect();
    await client.apply(service("watched", "one"), {}, signal);
    const stop = new AbortController();
    const seen: string[] = [];
    for await (const event of client.watchKind("Service", { namespace: "watched" }, stop.signal)) {
      seen.push(event.type === "put" ? `put ${event.resource.metadata.name}` : event.type === "delete" ? `delete ${event.id}` : "synced");
      if (event.type === "synced") {
        await client.apply(service("elsewhere", "hidden"), {}, signal);
        await client.apply(service("watched", "two"), {}, signal);
        await client.remove("Service", { namespace: "watched", name: "one" }, {}, signal);
      }
      if (event.type === "delete") stop.abort();
    }
    expect(seen).toEqual(["put one", "synced", "put two", "delete watched/one"]);
  });

  it("with faults are refused with every fault", async () => {
    const bad = { apiVersion, kind: "Cluster", metadata: { name: "shop-eu" }, spec: { region: "EU", trustDomain: "shop.example", exportNamespaces: [], gateways: [], colour: 1 } };
    const failure = await failureOf(connect().apply(bad as unknown as Cluster, {}, signal));
    expect(failure.code).toBe("ATOLL_RESOURCE_INVALID");
    expect(failure.problem.faults?.map((fault) => fault.path)).toEqual(["spec.region", "spec.colour"]);
  });

  it("are refused when path and body name different ones", async () => {
    const answer = await raw("PUT", "/api/v1/regions/one", JSON.stringify(region("two")), { "content-type": "application/json" });
    expect(answer).toMatchObject({ status: 400, type: "application/problem+json; charset=utf-8" });
    expect(answer.text).toContain("the path names one, the body two");
  });
});

describe("the server", () => {
  it("answers what it cannot understand with a problem, and nothing else", async () => {
    const json = { "content-type": "application/json" };
    const statuses = await Promise.all([
      raw("GET", "/api/v1/nothing"),
      raw("GET", "/api/v1/regions/Bad_Name"),
      raw("GET", "/api/v1/regions?limit=0"),
      raw("GET", "/api/v1/regions?colour=red"),
      raw("PUT", "/api/v1/regions/a", "{", json),
      raw("PUT", "/api/v1/regions/a", '{"__proto__":{"x":1}}', json),
      raw("PUT", "/api/v1/regions/a", "a: 1", { "content-type": "application/yaml" }),
      raw("PUT", "/api/v1/regions/a", JSON.stringify(region("a")), { ...json, "if-match": "42" }),
      raw("PUT", "/api/v1/regions/a", `"${"x".repeat(adminServerLimits.bodyBytes)}"`, json),
    ]);
    expect(statuses.map((answer) => answer.status)).toEqual([404, 400, 400, 400, 400, 400, 415, 400, 413]);
    expect(new Set(statuses.map((answer) => answer.type))).toEqual(new Set(["application/problem+json; charset=utf-8"]));
  });

  it.each([
    ["a path that cannot be decoded", "GET /api/v1/regions/%zz HTTP/1.1\r\nhost: x\r\n\r\n", 400, "%zz"],
    ["a head beyond the bound", `GET /livez HTTP/1.1\r\nhost: x\r\nx-long: ${"y".repeat(maxHeaderSize)}\r\n\r\n`, 431, `has at most ${maxHeaderSize} bytes`],
    ["what is no request", "HELLO\r\n\r\n", 400, "RFC 9112"],
    ["two lengths", "PUT /api/v1/regions/a HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n", 400, "RFC 9112"],
  ])("that cannot be read, as %s, are answered by a problem, too", async (_, text, status, detail) => {
    const socket = connectTls({ host: "127.0.0.1", port: server.port, ca: adminTls.caPem, cert: adminTls.certificateChainPem, key: adminTls.privateKeyPem, checkServerIdentity: () => undefined });
    try {
      socket.setEncoding("utf8");
      socket.write(text);
      let answer = "";
      while (!answer.endsWith("}")) answer += ((await once(socket, "data")) as [string])[0];
      const [head = "", body = ""] = answer.split("\r\n\r\n");
      expect(head).toMatch(new RegExp(`^HTTP/1\\.1 ${status} [^]*content-type: application/problem\\+json`, "i"));
      expect(problemSchema.parse(JSON.parse(body))).toMatchObject({ code: "ATOLL_REQUEST_INVALID", status, detail: expect.stringContaining(detail) as string });
    } finally {
      socket.destroy();
    }
  });

  it("refuses a write for which there is no room without a trace of it, while reads go on, and its caller asks again", async () => {
    const hogs = await Promise.all(Array.from({ length: admission.kind("writes").limit }, async () => await admission.kind("writes").enter("hog", signal)));
    const refusals: string[] = [];
    onOverload = (refusal) => {
      refusals.push(refusal);
      for (const hog of hogs) hog[Symbol.dispose]();
    };
    const client = connect();
    const applied = client.apply(region("crowded"), {}, signal);
    await expect(client.list("Region", {}, signal)).resolves.toBeDefined();
    await expect(applied).resolves.toMatchObject({ isNew: true });
    expect(refusals).toEqual(["writes waited"]);
    const { entries } = await audit.read({ limit: 10 });
    expect(entries.filter(({ path }) => path.endsWith("/crowded"))).toMatchObject([{ outcome: "created" }]);
  });

  it("answers 429 with the time after which to ask again to whoever does not wait so long", async () => {
    const hogs = await Promise.all(Array.from({ length: admission.kind("writes").limit }, async () => await admission.kind("writes").enter("hog", signal)));
    onOverload = () => {};
    const answer = await raw("PUT", "/api/v1/regions/crowded-again", JSON.stringify(region("crowded-again")), { "content-type": "application/json" });
    for (const hog of hogs) hog[Symbol.dispose]();
    expect(answer).toMatchObject({ status: 429, retryAfter: "1" });
    expect(JSON.parse(answer.text)).toMatchObject({ code: "ATOLL_ADMIN_OVERLOADED" });
  });

  it("tells clients nothing of its own failures, and its owner everything", async () => {
    errors.length = 0;
    const failure = await failureOf(connect().call(failRoute, {}, signal));
    expect(failure.problem).toMatchObject({ status: 500, code: "ATOLL_INTERNAL" });
    expect(JSON.stringify(failure.problem)).not.toContain("swordfish");
    expect(errors.map(String)).toEqual(["Error: the password is swordfish"]);
  });

  it("lets a viewer read and refuses it to write", async () => {
    const client = connect({}, authority.issue(viewerId));
    expect(await client.list("Cluster", {}, signal)).toEqual([]);
    expect((await failureOf(client.apply(region("x"), {}, signal))).problem).toMatchObject({ status: 403, code: "ATOLL_ADMIN_FORBIDDEN" });
  });

  it("refuses certificates with no SPIFFE ID, with two, or of another authority", async () => {
    for (const tls of [authority.issue(), authority.issue(adminId, viewerId), authority.issue("https://demo.atoll/x")]) {
      expect((await failureOf(connect({}, tls).list("Region", {}, signal))).code).toBe("ATOLL_ADMIN_FORBIDDEN");
    }
    const stranger = { ...createTestAuthority().issue(adminId), caPem: authority.caPem };
    await expect(connect({}, stranger).list("Region", {}, signal)).rejects.toMatchObject({ code: "ATOLL_ADMIN_UNAVAILABLE" });
  });

  it("tells a handler when its client leaves", async () => {
    hangs = Promise.withResolvers<void>();
    const stop = new AbortController();
    const call = connect().call(hangRoute, {}, stop.signal);
    call.catch(() => undefined);
    await hangs.promise;
    stop.abort();
    await expect(call).rejects.toMatchObject({ code: "ATOLL_ABORTED" });
    await expect.poll(() => aborted).toEqual(["hang"]);
  });

  it("serves new connections with a replaced certificate", async () => {
    const other = "spiffe://demo.atoll/atoll/plane/cluster/shop-eu";
    server.replaceTls(authority.issue(other));
    try {
      await expect(connect().list("Region", {}, signal)).rejects.toMatchObject({ code: "ATOLL_ADMIN_UNAVAILABLE", message: expect.stringContaining(`${other}, not ${globalId}`) });
      expect(await connect({ serverId: parseSpiffeId(other) }).list("Cluster", {}, signal)).toEqual([]);
    } finally {
      server.replaceTls(serverTls);
    }
  });
});

describe("the client", () => {
  it("trusts no server of another authority, though it names itself rightly", async () => {
    const stranger = { ...adminTls, caPem: createTestAuthority().caPem };
    await expect(connect({}, stranger).list("Region", {}, signal)).rejects.toMatchObject({ code: "ATOLL_ADMIN_UNAVAILABLE" });
  });

  it("says so when nothing listens, and when there is no server in the context", async () => {
    await expect(connect({ server: "127.0.0.1:1" }).list("Region", {}, signal)).rejects.toMatchObject({ code: "ATOLL_ADMIN_UNAVAILABLE" });
    expect(() => connect({ server: "" })).toThrow(expect.objectContaining({ code: "ATOLL_CONFIG_INVALID" }));
  });

  it("ends a watch when the server goes", async () => {
    const second = await openAdminServer({
      address: "127.0.0.1",
      port: 0,
      tls: serverTls,
      operations: operations(),
      openApi: { title: "test", version: "1" },
      grantsOf: () => [{ role: "administrator" }],
      isPlane: () => false,
      audit,
      admission: new PlaneAdmission({ clock: systemClock, onRefused: () => expect.unreachable() }),
      isReady: () => true,
      onError: (error) => errors.push(error),
      onRefused: () => {},
      clock: systemClock,
    });
    const events: string[] = [];
    const client = connect({ server: `127.0.0.1:${second.port}` });
    const watching = (async () => {
      for await (const event of client.watchKind("Region", {}, signal)) {
        events.push(event.type);
        if (event.type === "synced") void second[Symbol.asyncDispose]();
      }
    })();
    await watching;
    expect(events).toContain("synced");
  });
});

describe("the OpenAPI document", () => {
  it("is served and names every operation once, with references that exist", async () => {
    const document = JSON.parse((await raw("GET", "/openapi.json")).text) as {
      readonly openapi: string;
      readonly paths: Readonly<Record<string, Readonly<Record<string, { readonly operationId: string }>>>>;
      readonly components: { readonly schemas: Readonly<Record<string, unknown>> };
    };
    expect(document.openapi).toBe("3.1.0");
    const ids = Object.values(document.paths).flatMap((path) => Object.values(path).map((operation) => operation.operationId));
    expect(new Set(ids).size).toBe(ids.length);
    expect(ids).toContain("applyRegion");
    const references = [...JSON.stringify(document).matchAll(/"\$ref":"#\/components\/schemas\/([^"]+)"/g)].map((match) => match[1] ?? "");
    expect(references.length).toBeGreaterThan(10);
    for (const name of references) expect(document.components.schemas).toHaveProperty([name]);
    expect(JSON.stringify(document)).not.toContain("#/$defs/");
  });

  it("of the global plane covers its kinds and its own routes", () => {
    const ids = allGlobalRoutes().map((route) => route.operationId);
    for (const kind of globalKinds) expect(ids).toContain(`apply${kind}`);
    for (const route of Object.values(globalRoutes)) expect(ids).toContain(route.operationId);
  });

  it("needs no readiness to say that the server lives", async () => {
    expect(await raw("GET", "/livez")).toMatchObject({ status: 200, text: '{"live":true}' });
    expect((await raw("GET", "/readyz")).status).toBe(200);
  });
});

