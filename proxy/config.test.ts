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

it("serves the Workload API where it is told to, on an absolute path, and for sidecars alone", () => {
  const sidecar = (workloadApi: object) => read({ mode: "sidecar", workloadApi }).workloadApi;
  expect(read({ mode: "sidecar" }).workloadApi).toBeUndefined();
  expect(sidecar({ path: "/run/catalog/api.sock" })).toEqual({ path: "/run/catalog/api.sock", mode: "0600" });
  expect(sidecar({ path: "/run/catalog/api.sock", mode: "0660" })).toMatchObject({ mode: "0660" });
  expect(() => sidecar({ path: "api.sock" })).toThrow(/workloadApi\.path: expected the absolute path of a socket file/);
  expect(() => sidecar({ path: `/run/${"x".repeat(100)}` })).toThrow(/workloadApi\.path: .* is 105 bytes; a unix socket's path may have 103: choose a shorter directory/);
  expect(() => sidecar({ path: "/run/catalog/" })).toThrow(/workloadApi\.path/);
  expect(() => sidecar({ path: "/run/api.sock", mode: "0666" })).toThrow(/workloadApi\.mode: expected one of 0600, 0660/);
  expect(() => sidecar({ path: "/run/api.sock", group: "web" })).toThrow(/workloadApi\.group: unknown field/);
  expect(() => read({ workloadApi: { path: "/run/api.sock" } })).toThrow(/workloadApi: a gateway has no application/);
});
