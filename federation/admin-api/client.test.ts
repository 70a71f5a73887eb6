import { once } from "node:events";
import { createServer, type Server } from "node:https";
import type { AddressInfo } from "node:net";
import { afterEach, beforeEach, expect, it } from "vitest";
import { parseTrustDomainName } from "#federation/model/spiffe-id.ts";
import { AdminClient } from "./client.ts";
import { globalRoutes } from "./plane-routes.ts";
import { createTestAuthority } from "./tls-fixture.ts";

const { signal } = new AbortController();
const authority = createTestAuthority();
const serverTls = authority.issue("spiffe://demo.atoll/atoll/plane/global");
const clientTls = authority.issue("spiffe://demo.atoll/atoll/admin/local");

let server: Server;
let client: AdminClient;
/** Methods of the requests that have arrived. */
let arrived: string[];
/** The server ends with the next request, once that has arrived. */
let isEnding: boolean;
/** The server stays, and that connection alone breaks. */
let isBreaking: boolean;

beforeEach(async () => {
  arrived = [];
  isEnding = isBreaking = false;
  server = createServer({ key: serverTls.privateKeyPem, cert: serverTls.certificateChainPem, ca: serverTls.caPem, requestCert: true }, (request, response) => {
    arrived.push(request.method ?? "");
    if (isEnding) server.close();
    if (isEnding || isBreaking) {
      isBreaking = false;
      request.socket.destroy();
      return;
    }
    response.setHeader("content-type", "application/json").end(JSON.stringify({ items: [], metadata: { revision: 1 } }));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  client = new AdminClient({ context: { server: `127.0.0.1:${port}`, federation: parseTrustDomainName("demo.atoll"), caPem: clientTls.caPem, certificatePem: clientTls.certificateChainPem, privateKeyPem: clientTls.privateKeyPem } });
  // From here on there is a connection that is used again.
  await client.list("Region", {}, signal);
});

afterEach(() => {
  client[Symbol.dispose]();
  server.close();
  server.closeAllConnections();
});

const codesOf = (error: unknown): readonly string[] => (error instanceof Error ? [...("code" in error ? [String(error.code)] : []), ...codesOf(error.cause)] : []);

it("does not say that nobody listened where a write may have been done by a server that ended with it", async () => {
  isEnding = true;
  const codes = await client.remove("Region", { name: "eu-west" }, {}, signal).then(() => [], codesOf);
  expect(arrived).toEqual(["GET", "DELETE"]);
  expect(codes[0]).toBe("ATOLL_ADMIN_UNAVAILABLE");
  expect(codes).not.toContain("ECONNREFUSED");
});

it("asks once more over another connection what may be asked twice", async () => {
  isBreaking = true;
  expect(await client.list("Region", {}, signal)).toEqual([]);
  expect(arrived).toEqual(["GET", "GET", "GET"]);
});

it("does not ask again for what would be made twice, nor under a condition that the first time may have ended", async () => {
  isBreaking = true;
  await expect(client.call(globalRoutes.createJoinToken, { body: { purpose: { kind: "cluster", cluster: "shop-eu" as never } } }, signal)).rejects.toMatchObject({ code: "ATOLL_ADMIN_UNAVAILABLE" });
  await client.list("Region", {}, signal);
  isBreaking = true;
  await expect(client.remove("Region", { name: "eu-west" }, { ifRevision: 3 }, signal)).rejects.toMatchObject({ code: "ATOLL_ADMIN_UNAVAILABLE" });
  expect(arrived).toEqual(["GET", "POST", "GET", "DELETE"]);
});
