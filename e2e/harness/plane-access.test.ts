import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { AccessConfig } from "#federation/admin-api/access-config.ts";
import { clusterRoutes, globalRoutes } from "#federation/admin-api/plane-routes.ts";
import { createTestIssuer } from "#federation/identity/jwt-fixture.ts";
import { decodeJoinToken } from "#federation/identity/join-token.ts";
import type { ClusterId, RegionId, TrustDomainName } from "#federation/model/names.ts";
import { apiVersion, type Service } from "#federation/model/resource.ts";
import { systemClock } from "#federation/runtime/clock.ts";
import { InProcessPlanes } from "./in-process-planes.ts";

const { signal } = new AbortController();
const shop = "shop.example" as TrustDomainName;
const issuer = createTestIssuer();

function service(namespace: string): Service {
  return { apiVersion, kind: "Service", metadata: { namespace, name: "catalog" }, spec: { ports: [{ name: "http", port: 80, protocol: "http" }], serviceAccounts: ["catalog"] } };
}

describe("machine clients of planes", () => {
  const directory = mkdtempSync(join(tmpdir(), "atoll-machines-"));
  const keysFile = join(directory, "keys.json");
  const tokenFile = join(directory, "token");
  const access: AccessConfig = {
    bindings: [
      { role: "operator", subject: { spiffeId: "spiffe://demo.atoll/atoll/client/web-team" }, trustDomains: [shop], namespaces: ["web"] },
      { role: "operator", subject: { claims: { repository: "shop/infra" } }, trustDomains: [shop] },
    ],
    tokens: { issuer: "https://ci.example", audience: "atoll", keysFile },
  };
  let planes: InProcessPlanes;

  beforeAll(async () => {
    writeFileSync(keysFile, issuer.jwks);
    planes = await InProcessPlanes.create();
    await planes.startGlobal(access);
    using admin = planes.admin();
    await admin.apply({ apiVersion, kind: "Region", metadata: { name: "eu-west" }, spec: {} }, {}, signal);
    await admin.apply({ apiVersion, kind: "Cluster", metadata: { name: "shop-eu" }, spec: { region: "eu-west" as RegionId, trustDomain: shop, exportNamespaces: ["web"], gateways: [] } }, {}, signal);
    await planes.startCluster("shop-eu", { signer: shop }, access);
  });

  afterAll(async () => {
    await planes[Symbol.asyncDispose]();
    rmSync(directory, { recursive: true });
  });

  it("let an operator by certificate run its namespaces at the cluster's plane, and make its workloads' tokens only", async () => {
    using team = planes.machine("web-team", "shop-eu");
    expect((await team.apply(service("web"), {}, signal)).isNew).toBe(true);
    await expect(team.apply(service("core"), {}, signal)).rejects.toMatchObject({ code: "ATOLL_ADMIN_FORBIDDEN" });
    const token = (namespace: string) => team.call(clusterRoutes.createJoinToken, { body: { purpose: { kind: "workload", namespace, serviceAccount: "catalog" } } }, signal);
    expect((await token("web")).status).toBe(201);
    await expect(token("core")).rejects.toMatchObject({ code: "ATOLL_ADMIN_FORBIDDEN" });
    await expect(team.call(clusterRoutes.createJoinToken, { body: { purpose: { kind: "gateway" } } }, signal)).rejects.toMatchObject({ code: "ATOLL_ADMIN_FORBIDDEN" });
  });

  it("make tokens for many where they make those for one, show who used them to administrators only, and end them", async () => {
    using team = planes.machine("web-team", "shop-eu");
    using admin = planes.admin("shop-eu");
    using global = planes.admin();
    const body = { purpose: { kind: "workload", namespace: "web", serviceAccount: "catalog" } as const, uses: 3, lifeSeconds: 3_600, cidrs: ["127.0.0.0/8"] };
    const { id, token } = (await team.call(clusterRoutes.createProvisioningToken, { body }, signal)).body;
    await expect(team.call(clusterRoutes.createProvisioningToken, { body: { ...body, purpose: { ...body.purpose, namespace: "core" } } }, signal)).rejects.toMatchObject({ code: "ATOLL_ADMIN_FORBIDDEN" });
    await expect(team.call(clusterRoutes.listProvisioningTokens, {}, signal)).rejects.toMatchObject({ code: "ATOLL_ADMIN_FORBIDDEN" });
    const { items } = (await admin.call(clusterRoutes.listProvisioningTokens, {}, signal)).body;
    expect(items).toMatchObject([{ id, purpose: body.purpose, usesMax: 3, uses: [], cidrs: body.cidrs, revoked: false }]);
    expect(JSON.stringify(items)).not.toContain(decodeJoinToken(token).secret);
    expect((await team.call(clusterRoutes.revokeProvisioningToken, { params: { id } }, signal)).body).toMatchObject({ id, revoked: true });
    const gateways = (await admin.call(clusterRoutes.createProvisioningToken, { body: { ...body, purpose: { kind: "gateway" as const } } }, signal)).body;
    await expect(team.call(clusterRoutes.revokeProvisioningToken, { params: { id: gateways.id } }, signal)).rejects.toMatchObject({ code: "ATOLL_ADMIN_FORBIDDEN" });
    await expect(admin.call(clusterRoutes.createProvisioningToken, { body: { ...body, purpose: { kind: "cluster" as const, cluster: "shop-eu" as ClusterId } } }, signal)).rejects.toMatchObject({ code: "ATOLL_REQUEST_INVALID" });
    await expect(global.call(globalRoutes.createProvisioningToken, { body }, signal)).rejects.toMatchObject({ code: "ATOLL_REQUEST_INVALID" });
    await expect(admin.call(clusterRoutes.createProvisioningToken, { body: { ...body, cidrs: ["everywhere"] } }, signal)).rejects.toMatchObject({ code: "ATOLL_REQUEST_INVALID" });
    await expect(global.call(globalRoutes.createJoinToken, { body: { purpose: { kind: "gateway" as const } } }, signal)).rejects.toMatchObject({ code: "ATOLL_REQUEST_INVALID" });
    expect((await global.call(globalRoutes.createProvisioningToken, { body: { ...body, purpose: { kind: "cluster" as const, cluster: "shop-us" as ClusterId } } }, signal)).status).toBe(201);
  });

  it("let a job of a CI system in by a token of its issuer, at both kinds of planes", async () => {
    const now = Math.floor(systemClock.nowMs() / 1_000);
    const claims = { iss: "https://ci.example", aud: "atoll", sub: "repo:shop/infra", repository: "shop/infra", iat: now, exp: now + 300 };
    writeFileSync(tokenFile, issuer.sign(claims));
    using atCluster = planes.bearer(tokenFile, "shop-eu");
    using atGlobal = planes.bearer(tokenFile);
    expect((await atCluster.call(clusterRoutes.createJoinToken, { body: { purpose: { kind: "gateway" } } }, signal)).status).toBe(201);
    expect((await atGlobal.list("Cluster", {}, signal)).map(({ metadata }) => metadata.name)).toEqual(["shop-eu"]);
    await expect(atGlobal.call(globalRoutes.createJoinToken, { body: { purpose: { kind: "gateway" } } }, signal)).rejects.toMatchObject({ code: "ATOLL_ADMIN_FORBIDDEN" });
    writeFileSync(tokenFile, createTestIssuer().sign(claims));
    await expect(atGlobal.list("Cluster", {}, signal)).rejects.toMatchObject({ code: "ATOLL_ADMIN_UNAUTHENTICATED" });
  });

  it("stand in the trail of the plane that they asked, which only administrators read", async () => {
    using admin = planes.admin("shop-eu");
    const { entries } = (await admin.call(clusterRoutes.audit, { query: { limit: 100 } }, signal)).body;
    expect(entries.map(({ caller }) => caller.name)).toEqual(expect.arrayContaining(["spiffe://demo.atoll/atoll/client/web-team", "https://ci.example#repo:shop/infra"]));
    expect(JSON.stringify(entries)).not.toContain("eyJ");
    using team = planes.machine("web-team", "shop-eu");
    await expect(team.call(clusterRoutes.audit, {}, signal)).rejects.toMatchObject({ code: "ATOLL_ADMIN_FORBIDDEN" });
  });
});
