import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { parseAdminContext } from "#federation/admin-api/admin-context.ts";
import { FederationKeys, initFederation } from "./federation-keys.ts";

const nowMs = Date.UTC(2026, 5, 1);
let dataDir: string;

beforeEach(() => {
  dataDir = mkdtempSync(join(tmpdir(), "atoll-keys-"));
  initFederation(dataDir, "fed.example", nowMs);
});
afterEach(() => rmSync(dataDir, { recursive: true }));

it("makes a client's context that leads where it is told, before the plane has run once, or where the administrator's leads", () => {
  const keys = FederationKeys.load(dataDir);
  const serverOf = (path: string): string => parseAdminContext(readFileSync(path, "utf8")).server;
  expect(serverOf(keys.writeClientContext("team", nowMs))).toBe("");
  const told = keys.writeClientContext("team", nowMs, "10.0.0.1:7400");
  expect(serverOf(told)).toBe("10.0.0.1:7400");
  expect(statSync(told).mode & 0o077).toBe(0);
  keys.writeAdminContext("global.example:7400", nowMs);
  expect(serverOf(keys.writeClientContext("team", nowMs))).toBe("global.example:7400");
});

it("writes no context for a server that is no host and port, nor for a name that is none", () => {
  const keys = FederationKeys.load(dataDir);
  expect(() => keys.writeClientContext("team", nowMs, "https://global.example")).toThrow(expect.objectContaining({ code: "ATOLL_CONFIG_INVALID" }));
  expect(() => keys.writeClientContext("../team", nowMs)).toThrow(expect.objectContaining({ code: "ATOLL_NAME_INVALID" }));
});

it.each(["federation-root.pem", "federation-authority.pem", "federation-authority.key", "federation-issuing.pem", "federation-issuing.key", "federation.json"])("names %s, and what to do, when it is damaged or gone under a plane that has run", (name) => {
  const path = join(dataDir, name);
  const copy = readFileSync(path);
  FederationKeys.load(dataDir).writeAdminContext("global.example:7400", nowMs);
  for (const damage of [() => writeFileSync(path, Buffer.alloc(200)), () => rmSync(path)]) {
    damage();
    expect(() => FederationKeys.load(dataDir).issueSigner(nowMs)).toThrow(expect.objectContaining({ message: expect.stringMatching(new RegExp(`${name.replaceAll(".", "\\.")}.* put it back from a copy`)) as string }));
  }
  writeFileSync(path, copy);
  FederationKeys.load(dataDir).issueSigner(nowMs);
});

it("makes no other keys where a plane has run, whatever is missing, and goes on with a making that was broken off", () => {
  const root = (): string => readFileSync(join(dataDir, "federation-root.key"), "utf8");
  const before = root();
  FederationKeys.load(dataDir).writeAdminContext("global.example:7400", nowMs);
  rmSync(join(dataDir, "federation.json"));
  expect(() => initFederation(dataDir, "fed.example", nowMs)).toThrow(expect.objectContaining({ code: "ATOLL_CONFIG_INVALID", message: expect.stringContaining("federation.json is missing; put it back") as string }));
  expect(root()).toBe(before);
  rmSync(join(dataDir, "admin-context.json"));
  initFederation(dataDir, "fed.example", nowMs);
  FederationKeys.load(dataDir).issueSigner(nowMs);
});
