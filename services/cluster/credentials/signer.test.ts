import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { TrustDomainName } from "#federation/model/names.ts";
import { systemClock } from "#federation/runtime/clock.ts";
import { saveFacts } from "./plane-membership.ts";
import { TrustDomainSigner } from "./signer.ts";

const shop = "shop.example" as TrustDomainName;

describe("a trust domain's signer", () => {
  let dataDir: string;
  beforeEach(() => {
    dataDir = mkdtempSync(join(tmpdir(), "atoll-signer-"));
  });
  afterEach(() => rmSync(dataDir, { recursive: true }));
  const open = (): TrustDomainSigner => TrustDomainSigner.open(shop, dataDir, systemClock.nowMs());
  const file = (name: string): string => join(dataDir, "signer", name);

  it("makes its keys once", () => {
    expect(open().bundle).toEqual(open().bundle);
  });

  it("makes those that a first start did not come to", () => {
    const { bundle } = open();
    rmSync(file("authority.pem"));
    expect(open().bundle).toEqual(bundle);
  });

  describe.each(["root.pem", "root.key", "authority.pem", "authority.key"])("when %s of a plane that has joined", (name) => {
    it.each([
      ["is gone", (path: string) => rmSync(path)],
      ["is damaged", (path: string) => writeFileSync(path, Buffer.alloc(300))],
    ])("%s, refuses rather than makes others, and goes on with what is put back", (_, damage) => {
      const { bundle } = open();
      saveFacts(dataDir, { federation: "demo.atoll", cluster: "shop-eu", region: "eu-west", trustDomain: shop, federationRootPem: "", federationAuthorityPem: "" } as never);
      const copy = readFileSync(file(name));
      damage(file(name));
      expect(open).toThrow(expect.objectContaining({ code: "ATOLL_CONFIG_INVALID", message: expect.stringContaining("put root.key") }));
      writeFileSync(file(name), copy);
      expect(open().bundle).toEqual(bundle);
    });
  });
});
