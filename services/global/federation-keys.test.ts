import { mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
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
