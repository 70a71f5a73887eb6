import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer, type AddressInfo, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { etcdAdministrator } from "#federation/model/engine-identity.ts";
import { systemClock } from "#federation/runtime/clock.ts";
import { FederationKeys, initFederation } from "#services/global/federation-keys.ts";
import { engineTlsFiles } from "./etcd-args.ts";
import { findSilentEngines, silentEngineProblems, type EngineProcess } from "./silent-engines.ts";

const address = "127.0.0.1";
const directory = mkdtempSync(join(tmpdir(), "atoll-silent-"));
const tls = engineTlsFiles(directory, etcdAdministrator);
const servers: Server[] = [];

/** A listener that does this with whoever connects. */
async function listener(onConnection: (socket: { end(text: string): unknown }) => void): Promise<number> {
  const server = createServer((socket) => {
    socket.on("error", () => undefined);
    onConnection(socket);
  }).listen(0, address);
  servers.push(server);
  await once(server, "listening");
  return (server.address() as AddressInfo).port;
}

beforeAll(() => {
  initFederation(directory, "fed.example", systemClock.nowMs());
  FederationKeys.load(directory).writeEtcdAdministrator([], systemClock.nowMs());
});
afterAll(() => {
  for (const server of servers) server.close();
  rmSync(directory, { recursive: true });
});

it("an engine that takes a connection and says nothing is silent, and one that says anything, or does not run, is not", async () => {
  const mute = await listener(() => undefined);
  const speaking = await listener((socket) => socket.end("INFO {}\r\n"));
  const closed = await listener(() => undefined);
  const server = servers.at(-1);
  if (server === undefined) throw new Error("the last listener is not there");
  server.close();
  await once(server, "close");
  const engines = (["etcd", "nats-server"] as const).flatMap((engine) => [mute, speaking, closed].map((port): EngineProcess => ({ name: `${engine} at ${port}`, engine, address, port })));
  const silent = await findSilentEngines(engines, tls);
  expect(silent.map(({ name }) => name)).toEqual([`etcd at ${mute}`, `nats-server at ${mute}`]);
});

it("a silent one is a sentence with what it costs and what to do", () => {
  expect(silentEngineProblems([{ name: "eu-etcd-2", engine: "etcd", address, port: 1 }])).toEqual([expect.stringMatching(/^eu-etcd-2 takes connections at 127\.0\.0\.1:1 and answers nobody: .*two have to answer.* kill it/)]);
  expect(silentEngineProblems([{ name: "eu-nats", engine: "nats-server", address, port: 1 }])).toEqual([expect.stringMatching(/^eu-nats .*planes go on with the other nats-servers/)]);
});
