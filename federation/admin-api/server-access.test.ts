import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { request as httpsRequest } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Catalog } from "#federation/catalog/catalog.ts";
import type { TrustDomainName } from "#federation/model/names.ts";
import { apiVersion, type Region, type TrafficPolicy } from "#federation/model/resource.ts";
import { parseTrustDomainName } from "#federation/model/spiffe-id.ts";
import { systemClock } from "#federation/runtime/clock.ts";
import { readConfig } from "#federation/runtime/config.ts";
import { AtollError } from "#federation/runtime/errors.ts";
import { openSqliteStore, type SqliteStore } from "#federation/store/sqlite-store.ts";
import { silentLogger } from "#federation/telemetry/logger.ts";
import { accessField } from "./access-config.ts";
import type { AuditTrail } from "./audit.ts";
import { openAuditFile, type AuditFile } from "./audit-file.ts";
import { auditOperation } from "./audit-operation.ts";
import { AdminClient } from "./client.ts";
import { createPlaneAccess } from "./plane-access.ts";
import { PlaneAdmission } from "./plane-admission.ts";
import { globalRoutes } from "./plane-routes.ts";
import { AdminApiError } from "./problem.ts";
import { resourceOperations } from "./resource-routes.ts";
import { openAdminServer, type AdminServer } from "./server.ts";
import { createTestAuthority } from "./tls-fixture.ts";

const signal = new AbortController().signal;
const federation = parseTrustDomainName("demo.atoll");
const authority = createTestAuthority();
const stranger = createTestAuthority();
const shop = "shop.example" as TrustDomainName;
const directory = mkdtempSync(join(tmpdir(), "atoll-access-"));
const tokenFile = join(directory, "token");
const id = (path: string): string => `spiffe://demo.atoll/atoll/${path}`;
const access = readConfig(
  JSON.stringify({
    bindings: [
      { role: "viewer", spiffeId: id("client/dash") },
      { role: "operator", spiffeId: id("client/shop"), trustDomains: ["shop.example"], namespaces: ["web"] },
      { role: "operator", claims: { repository: "shop/web" }, trustDomains: ["shop.example"] },
    ],
    tokens: { issuer: "https://ci.example", audience: "atoll", keysFile: "/nowhere" },
  }),
  "test",
  accessField,
);

let store: SqliteStore;
let audit: AuditFile;
let server: AdminServer;
/** Set by a test that takes the trail's disk away. */
let isDiskGone = false;

beforeAll(async () => {
  store = await openSqliteStore({ path: ":memory:", clock: systemClock, logger: silentLogger });
  audit = await openAuditFile({ path: join(directory, "audit.jsonl"), onFailure: () => expect.unreachable() });
  const catalog = new Catalog({ store, clock: systemClock, onFault: () => expect.unreachable() });
  const trail: AuditTrail = {
    read: async (page) => await audit.read(page),
    begin: async (request) => {
      if (isDiskGone) throw new AtollError("ATOLL_AUDIT_UNAVAILABLE", "the audit trail cannot be used: ENOSPC");
      return await audit.begin(request);
    },
  };
  // What a token says is verified elsewhere; here its text names the claims.
  const verify = async (token: string): Promise<Record<string, unknown> & { sub: string }> => {
    if (!token.startsWith("good.")) throw new AtollError("ATOLL_TOKEN_REFUSED", "the token is refused: it has expired");
    return { sub: "job", repository: token.slice("good.".length).replace(".", "/"), level: 7 };
  };
  server = await openAdminServer({
    address: "127.0.0.1",
    port: 0,
    tls: authority.issue(id("plane/global")),
    operations: [...resourceOperations("Region", catalog.resources("Region")), ...resourceOperations("TrafficPolicy", catalog.resources("TrafficPolicy")), auditOperation(globalRoutes.audit, trail)],
    openApi: { title: "test", version: "1" },
    ...createPlaneAccess(access, () => verify),
    isPlane: () => false,
    audit: trail,
    admission: new PlaneAdmission({ clock: systemClock, onRefused: () => expect.unreachable() }),
    isReady: () => true,
    onError: () => {},
    onRefused: () => {},
    clock: systemClock,
  });
});

afterAll(async () => {
  await server[Symbol.asyncDispose]();
  await store[Symbol.asyncDispose]();
  await audit[Symbol.asyncDispose]();
  rmSync(directory, { recursive: true });
});

function client(path: string): AdminClient {
  const { caPem, certificateChainPem, privateKeyPem } = authority.issue(id(path));
  return new AdminClient({ context: { server: `127.0.0.1:${server.port}`, federation, caPem, certificatePem: certificateChainPem, privateKeyPem } });
}

function bearer(token: string): AdminClient {
  writeFileSync(tokenFile, `${token}\n`);
  return new AdminClient({ context: { server: `127.0.0.1:${server.port}`, federation, caPem: authority.caPem, tokenFile } });
}

function policy(namespace: string, name: string, trustDomain?: TrustDomainName): TrafficPolicy {
  return { apiVersion, kind: "TrafficPolicy", metadata: { namespace, name }, spec: { targetRef: { namespace, name, ...(trustDomain === undefined ? {} : { trustDomain }) } } };
}

const region: Region = { apiVersion, kind: "Region", metadata: { name: "eu-west" }, spec: {} };

async function refusalOf(action: Promise<unknown>): Promise<AdminApiError> {
  const error: unknown = await action.then(() => undefined, (reason: unknown) => reason);
  if (!(error instanceof AdminApiError)) throw new Error("not refused by the server", { cause: error });
  return error;
}

describe("roles at the admin API", () => {
  it("lets a viewer read everything but who did what, and write nothing", async () => {
    using viewer = client("client/dash");
    expect(await viewer.list("TrafficPolicy", {}, signal)).toEqual([]);
    expect((await refusalOf(viewer.apply(policy("web", "a", shop), {}, signal))).problem).toMatchObject({ status: 403, code: "ATOLL_ADMIN_FORBIDDEN" });
    expect((await refusalOf(viewer.call(globalRoutes.audit, {}, signal))).problem.status).toBe(403);
  });

  it("lets an operator write within his bounds, and take nothing from others", async () => {
    using operator = client("client/shop");
    using admin = client("admin/local");
    expect((await operator.apply(policy("web", "catalog", shop), {}, signal)).isNew).toBe(true);
    expect((await refusalOf(operator.apply(policy("money", "catalog", shop), {}, signal))).problem.detail).toContain("operator of trust domain shop.example in namespace web");
    expect((await refusalOf(operator.apply(policy("web", "everywhere"), {}, signal))).problem.status).toBe(403);
    expect((await refusalOf(operator.apply(region, {}, signal))).problem.detail).toContain("takes an administrator");
    await admin.apply(policy("web", "others", "pay.example" as TrustDomainName), {}, signal);
    expect((await refusalOf(operator.apply(policy("web", "others", shop), {}, signal))).problem.status).toBe(403);
    expect((await refusalOf(operator.remove("TrafficPolicy", { namespace: "web", name: "others" }, {}, signal))).problem.status).toBe(403);
    expect((await refusalOf(operator.remove("TrafficPolicy", { namespace: "web", name: "nowhere" }, {}, signal))).problem.status).toBe(404);
    await operator.remove("TrafficPolicy", { namespace: "web", name: "catalog" }, {}, signal);
  });

  it("knows nobody by a certificate that is bound to no role", async () => {
    using nobody = client("engine/nats");
    expect((await refusalOf(nobody.list("Region", {}, signal))).problem.detail).toContain("bound to no role");
  });
});

describe("tokens at the admin API", () => {
  it("takes one from a caller without a certificate, read anew for each call", async () => {
    using job = bearer("good.shop.web");
    expect((await job.apply(policy("anything", "x", shop), {}, signal)).isNew).toBe(true);
    await job.remove("TrafficPolicy", { namespace: "anything", name: "x" }, {}, signal);
    writeFileSync(tokenFile, "expired");
    expect((await refusalOf(job.list("TrafficPolicy", {}, signal))).problem).toMatchObject({ status: 401, code: "ATOLL_ADMIN_UNAUTHENTICATED", detail: "the token is refused: it has expired" });
    writeFileSync(tokenFile, "good.other.repository");
    expect((await refusalOf(job.list("TrafficPolicy", {}, signal))).problem.status).toBe(403);
  });

  it("never makes up for a bad token by a good certificate", async () => {
    const { caPem, certificateChainPem, privateKeyPem } = authority.issue(id("admin/local"));
    const answer = await raw("/api/v1/regions", { ca: caPem, cert: certificateChainPem, key: privateKeyPem }, { authorization: "Bearer expired" });
    expect(answer).toMatchObject({ status: 401, challenge: 'Bearer realm="atoll"' });
  });

  it("answers nothing but the built-in paths to a caller without either, or with a certificate of somebody else", async () => {
    const other = stranger.issue(id("admin/local"));
    for (const credential of [{}, { cert: other.certificateChainPem, key: other.privateKeyPem }]) {
      expect(await raw("/api/v1/regions", { ca: authority.caPem, ...credential })).toMatchObject({ status: 401 });
      expect(await raw("/livez", { ca: authority.caPem, ...credential })).toMatchObject({ status: 200 });
    }
    expect(await raw("/api/v1/regions", { ca: authority.caPem }, { authorization: "Basic Zm9v" })).toMatchObject({ status: 401 });
  });
});

describe("dry runs", () => {
  it("judge everything and write nothing", async () => {
    using admin = client("admin/local");
    using operator = client("client/shop");
    const path = { namespace: "web", name: "dry" };
    expect(await operator.apply(policy("web", "dry", shop), { dryRun: true }, signal)).toMatchObject({ isNew: true, resource: { metadata: { generation: 1 } } });
    expect((await refusalOf(admin.get("TrafficPolicy", path, signal))).problem.status).toBe(404);
    expect((await refusalOf(operator.apply(policy("money", "dry", shop), { dryRun: true }, signal))).problem.status).toBe(403);
    const { resource } = await admin.apply(policy("web", "dry", shop), {}, signal);
    expect(await admin.apply(policy("web", "dry", shop), { dryRun: true }, signal)).toMatchObject({ isNew: false, isChanged: false });
    expect((await refusalOf(admin.apply(policy("web", "dry", shop), { dryRun: true, ifRevision: 1_000_000 }, signal))).problem.status).toBe(412);
    await admin.remove("TrafficPolicy", path, { dryRun: true }, signal);
    expect((await admin.get("TrafficPolicy", path, signal)).metadata.revision).toBe(resource.metadata.revision);
    await admin.remove("TrafficPolicy", path, {}, signal);
    expect((await refusalOf(admin.remove("TrafficPolicy", path, { dryRun: true }, signal))).problem.status).toBe(404);
  });
});

describe("the audit trail", () => {
  it("says who wanted what, by which role, and what became of it, refusals and dry runs among them", async () => {
    using admin = client("admin/local");
    using operator = client("client/shop");
    await admin.apply(policy("web", "seen", shop), {}, signal);
    await operator.apply({ ...policy("web", "seen", shop), spec: { targetRef: { namespace: "web", name: "seen", trustDomain: shop }, timeouts: { requestMs: 2_000 } } }, {}, signal);
    await refusalOf(operator.apply(policy("money", "seen", shop), {}, signal));
    await operator.apply(policy("web", "other", shop), { dryRun: true }, signal);
    const { body } = await admin.call(globalRoutes.audit, { query: { limit: 4 } }, signal);
    expect(body.entries).toMatchObject([
      { operationId: "applyTrafficPolicy", dryRun: true, outcome: "created", id: "web/other" },
      { operationId: "applyTrafficPolicy", dryRun: false, outcome: "refused", status: 403, code: "ATOLL_ADMIN_FORBIDDEN", path: "/api/v1/trafficpolicies/money/seen" },
      {
        caller: { by: "certificate", name: id("client/shop"), roles: "operator of trust domain shop.example in namespace web" },
        outcome: "changed",
        kind: "TrafficPolicy",
        id: "web/seen",
        fields: ["spec.timeouts"],
      },
      { caller: { name: id("admin/local"), roles: "administrator" }, outcome: "created", status: 201 },
    ]);
    expect(body.hasMore).toBe(true);
    const [, , changed] = body.entries;
    expect(changed?.revisionAfter ?? 0).toBeGreaterThan(changed?.revisionBefore ?? Number.POSITIVE_INFINITY);
  });

  it("stops every mutation that it cannot show, and no reader", async () => {
    using admin = client("admin/local");
    isDiskGone = true;
    try {
      expect((await refusalOf(admin.apply(region, {}, signal))).problem).toMatchObject({ status: 503, code: "ATOLL_AUDIT_UNAVAILABLE" });
      expect(await admin.list("Region", {}, signal)).toEqual([]);
    } finally {
      isDiskGone = false;
    }
  });
});

describe("accessField", () => {
  it("reports every fault of the bindings together", () => {
    const read = (value: unknown): unknown => readConfig(JSON.stringify(value), "test", accessField);
    expect(() =>
      read({
        bindings: [
          { role: "viewer", spiffeId: id("client/x"), namespaces: ["web"] },
          { role: "operator" },
          { role: "operator", spiffeId: "nobody" },
          { role: "owner", spiffeId: id("client/x") },
        ],
      }),
    ).toThrow(/bindings\[0\].*bound an operator.*bindings\[1\].*either spiffeId or claims.*bindings\[2\]\.spiffeId.*bindings\[3\]\.role/s);
    expect(() => read({ bindings: [{ role: "viewer", claims: { sub: "x" } }] })).toThrow(/needs tokens/);
    expect(() => read({ bindings: [{ role: "viewer", claims: {} }], tokens: { issuer: "i", audience: "a", keysFile: "k" } })).toThrow(/claims: expected 1 to 16/);
  });
});

async function raw(path: string, tls: Readonly<Record<string, string>>, headers: Readonly<Record<string, string>> = {}): Promise<{ readonly status: number | undefined; readonly challenge: string | undefined }> {
  return await new Promise((resolve, reject) => {
    httpsRequest({ host: "127.0.0.1", port: server.port, path, headers, agent: false, checkServerIdentity: () => undefined, ...tls }, (response) => {
      response.resume();
      resolve({ status: response.statusCode, challenge: response.headers["www-authenticate"] });
    })
      .on("error", reject)
      .end();
  });
}
