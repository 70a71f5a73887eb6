import { X509Certificate } from "node:crypto";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it } from "vitest";
import { createTestAuthority } from "#federation/admin-api/tls-fixture.ts";
import { dueEngines } from "./engine-certificates.ts";

it("engines are given certificates when they have none that is good for long", () => {
  const dataDir = mkdtempSync(join(tmpdir(), "atoll-engines-"));
  try {
    const { certificateChainPem } = createTestAuthority().issue("spiffe://shop.atoll/atoll/engine/etcd-eu-west");
    const { validFromDate, validToDate } = new X509Certificate(certificateChainPem);
    const halfMs = (validFromDate.getTime() + validToDate.getTime()) / 2;
    mkdirSync(join(dataDir, "global", "engines"), { recursive: true });
    writeFileSync(join(dataDir, "global", "engines", "etcd-eu-west.pem"), certificateChainPem);
    writeFileSync(join(dataDir, "global", "engines", "torn.pem"), "-----BEGIN");
    const engines = ["etcd-eu-west:127.0.0.1", "nats-eu-west:127.0.0.1", "torn:127.0.0.1"];
    expect(dueEngines(dataDir, engines, halfMs - 1)).toEqual(["nats-eu-west:127.0.0.1", "torn:127.0.0.1"]);
    expect(dueEngines(dataDir, engines, halfMs)).toEqual(engines);
  } finally {
    rmSync(dataDir, { recursive: true });
  }
});
