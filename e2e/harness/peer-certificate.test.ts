import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { TLSSocket } from "node:tls";
import { afterEach, beforeEach, expect, it } from "vitest";
import { closeServer, listen, portOf } from "#federation/runtime/listen.ts";
import { readPeerCertificate } from "#federation/runtime/peer-certificate.ts";
import { FederationKeys, initFederation } from "#services/global/federation-keys.ts";

const host = "127.0.0.1";
const madeMs = Date.UTC(2026, 0, 1);
const lifeMs = 3_600_000;
let directory: string;
let server: Server;
const file = (name: string): string => readFileSync(join(directory, "engines", name), "utf8");

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "atoll-peer-"));
  initFederation(directory, "fed.example", madeMs);
  const keys = FederationKeys.load(directory);
  for (const name of ["engine", "client"]) keys.writeEngine(name, name, [host], madeMs, lifeMs);
});
afterEach(async () => {
  await closeServer(server);
  rmSync(directory, { recursive: true });
});

/** Serves with a certificate that ended long ago, after `greeting`; `ended` says how each client left. */
async function serve(greeting: string, left: string[] = []): Promise<number> {
  server = createServer((socket: Socket) => {
    if (greeting !== "") socket.write(greeting);
    const secure = new TLSSocket(socket, { isServer: true, cert: file("engine.pem"), key: file("engine.key"), ca: file("ca.pem"), requestCert: true, rejectUnauthorized: false });
    secure.once("end", () => left.push("in order"));
    secure.once("error", (error) => left.push(error.message));
    secure.resume();
  });
  await listen(server, { host, port: 0 });
  return portOf(server);
}

const read = (port: number, speaksFirst: boolean) => readPeerCertificate({ host, port, tls: { caPem: file("ca.pem"), certificatePem: file("client.pem"), privateKeyPem: file("client.key") }, speaksFirst });

it.each([["", false], ["INFO {}\r\n", true]] as const)("what a peer shows is seen after its end, too, and the peer is left in order (%#)", async (greeting, speaksFirst) => {
  const left: string[] = [];
  const port = await serve(greeting, left);
  const certificate = await read(port, speaksFirst);
  expect(certificate.validToDate.getTime()).toBe(madeMs + lifeMs);
  expect(certificate.subjectAltName).toContain("URI:spiffe://fed.example/atoll/engine/engine");
  await expect.poll(() => left).toEqual(["in order"]);
});

it("a peer that stands still is not waited for without end", async () => {
  server = createServer((socket) => void socket.on("error", () => undefined).resume());
  await listen(server, { host, port: 0 });
  await expect(read(portOf(server), true)).rejects.toThrow();
  await expect(read(portOf(server), false)).rejects.toThrow();
});
