import { spawn } from "node:child_process";
import { X509Certificate } from "node:crypto";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { systemClock } from "#federation/runtime/clock.ts";
import { contextCertificate, type ContextCertificate } from "#services/cli/context-certificate.ts";
import { FederationKeys, initFederation, planeValidityMs } from "#services/global/federation-keys.ts";
import { issuingValidityMs } from "#services/global/issuing-certificate.ts";
import { eventually } from "./eventually.ts";
import { home } from "./test-federation.ts";

let dataDir: string;
beforeEach(() => (dataDir = mkdtempSync(join(tmpdir(), "atoll-renewal-"))));
afterEach(() => rmSync(dataDir, { recursive: true }));

/** What the context of a client holds now. */
function held(name: string): ContextCertificate {
  const found = contextCertificate(readFileSync(join(dataDir, "global", "clients", `${name}.json`), "utf8"));
  if (found === undefined) throw new Error(`the context of ${name} cannot be read`);
  return found;
}

it("the supervisor renews the certificate of a client that has lived for half of its life, and no other", async () => {
  const nowMs = systemClock.nowMs();
  const longAgoMs = nowMs - planeValidityMs * 0.6;
  const server = "127.0.0.1:7400";
  initFederation(join(dataDir, "global"), "shop.atoll", longAgoMs);
  const keys = FederationKeys.load(join(dataDir, "global"));
  for (const [name, atMs] of [["aged", longAgoMs], ["fresh", nowMs], ["dropped", longAgoMs]] as const) keys.writeClientContext(name, atMs, server);
  mkdirSync(join(dataDir, "clients"));
  for (const name of ["aged", "fresh"]) writeFileSync(join(dataDir, "clients", `${name}.json`), "{}");
  const [aged, fresh, dropped] = ["aged", "fresh", "dropped"].map(held);
  await underSupervisor(async () => {
    await eventually("the certificate is a new one", () => held("aged").certificate.serialNumber !== aged?.certificate.serialNumber, 60_000);
    const { certificate, server: led } = held("aged");
    expect(certificate.subjectAltName).toBe(aged?.certificate.subjectAltName);
    expect(certificate.validToDate.getTime()).toBeGreaterThan(nowMs + planeValidityMs * 0.9);
    expect(led).toBe(server);
    expect(held("fresh").certificate.serialNumber).toBe(fresh?.certificate.serialNumber);
    expect(held("dropped").certificate.serialNumber).toBe(dropped?.certificate.serialNumber);
  });
});

it("the supervisor renews what the federation issues by when half of its life is over, and goes on with its key", async () => {
  const keysDir = join(dataDir, "global");
  const issuing = (): X509Certificate => new X509Certificate(readFileSync(join(keysDir, "federation-issuing.pem")));
  const nowMs = systemClock.nowMs();
  initFederation(keysDir, "shop.atoll", nowMs - issuingValidityMs * 0.6);
  const before = issuing();
  await underSupervisor(async () => {
    await eventually("the certificate is a new one", () => issuing().serialNumber !== before.serialNumber, 60_000);
    expect(issuing().publicKey.equals(before.publicKey)).toBe(true);
    expect(issuing().validToDate.getTime()).toBeGreaterThan(nowMs + issuingValidityMs * 0.9);
  });
});

/** Has the supervisor of the federation run until `act` is done. */
async function underSupervisor(act: () => Promise<void>): Promise<void> {
  writeFileSync(join(dataDir, "supervisor.json"), JSON.stringify({ name: "shop", dataDir }));
  const supervisor = spawn(process.execPath, [join(home, "services/cli/up/supervisor-main.ts"), "--config", join(dataDir, "supervisor.json")], { stdio: "ignore" });
  try {
    await act();
  } finally {
    supervisor.kill("SIGTERM");
    await once(supervisor, "exit");
  }
}
