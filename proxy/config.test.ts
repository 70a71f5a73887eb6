import { expect, it } from "vitest";
import { readConfig } from "#federation/runtime/config.ts";
import { proxyConfigField } from "./config.ts";

const joinAttest = { addresses: ["plane.example:7411"], rootSha256: "ab".repeat(32), evidence: { kind: "aws" } };
const read = (more: object) => readConfig(JSON.stringify({ mode: "gateway", name: "gw", dataDir: "/var/lib/atoll", address: "127.0.0.1", region: "eu-west", ...more }), "gw.json", proxyConfigField);

it("joins by a token or by evidence, and never by both", () => {
  expect(read({ joinAttest }).joinAttest).toMatchObject({ addresses: ["plane.example:7411"] });
  expect(() => read({ joinAttest, joinTokenFile: "/token" })).toThrow(/joinTokenFile and joinAttest: expected one of them/);
});

it("keeps its key on disk where its document never changes", () => {
  expect(() => read({ joinAttest, keys: "memory" })).toThrow(/keys: a machine's document of AWS never changes/);
  expect(read({ joinAttest: { ...joinAttest, evidence: { kind: "azure" } }, keys: "memory" }).keys).toBe("memory");
});
