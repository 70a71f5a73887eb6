import { X509Certificate } from "node:crypto";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it } from "vitest";
import { createTestAuthority } from "#federation/admin-api/tls-fixture.ts";
import { FederationKeys, initFederation } from "#services/global/federation-keys.ts";
import { administratorArguments, dueEngines } from "./engine-certificates.ts";

it("engines are given certificates when they have none that is good for long", () => {
  const dataDir = mkdtempSync(join(tmpdir(), "atoll-engines-"));
  try {
    const { certificateChainPem } = createTestAuthority().issue("spiffe://shop.atoll/atoll/engine/etcd-eu-west");
    const { validFromDate, validToDate } = new X509Certificate(certificateChainPem);
    const halfMs = (validFromDate.getTime() + validToDate.getTime()) / 2;
    mkdirSync(join(dataDir, "engines"), { recursive: true });
    writeFileSync(join(dataDir, "engines", "etcd-eu-west.pem"), certificateChainPem);
    writeFileSync(join(dataDir, "engines", "torn.pem"), "-----BEGIN");
    const engines = ["etcd-eu-west:127.0.0.1", "nats-eu-west:127.0.0.1", "torn:127.0.0.1"];
    expect(dueEngines(dataDir, engines, halfMs - 1)).toEqual(["nats-eu-west:127.0.0.1", "torn:127.0.0.1"]);
    expect(dueEngines(dataDir, engines, halfMs)).toEqual(engines);
    expect(dueEngines(dataDir, ["etcd-us/etcd-eu-west:127.0.0.1", "etcd-eu-west/etcd-us:127.0.0.1"], halfMs - 1)).toEqual(["etcd-eu-west/etcd-us:127.0.0.1"]);
  } finally {
    rmSync(dataDir, { recursive: true });
  }
});

it("etcd's administrator is given a certificate for all planes that there are, and again when there is another or half of its life is over", () => {
  const dataDir = mkdtempSync(join(tmpdir(), "atoll-engines-"));
  const nowMs = Date.UTC(2026, 0, 1);
  const planes = ["global", "shop-eu"];
  try {
    expect(administratorArguments(dataDir, planes, nowMs)).toEqual(["--etcd-administrator", "global,shop-eu"]);
    initFederation(dataDir, "shop.atoll", nowMs);
    const keys = FederationKeys.load(dataDir);
    keys.writeEtcdAdministrator(planes, nowMs);
    expect(administratorArguments(dataDir, planes, nowMs)).toEqual([]);
    expect(administratorArguments(dataDir, [...planes, "shop-us"], nowMs)).toEqual(["--etcd-administrator", "global,shop-eu,shop-us"]);
    expect(administratorArguments(dataDir, planes, nowMs + 16 * 86_400_000)).not.toEqual([]);
  } finally {
    rmSync(dataDir, { recursive: true });
  }
});
