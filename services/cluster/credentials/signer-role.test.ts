import { mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { TrustDomainName } from "#federation/model/names.ts";
import { VirtualClock } from "#federation/runtime/virtual-clock.ts";
import { silentLogger } from "#federation/telemetry/logger.ts";
import { saveFacts } from "./plane-membership.ts";
import { SignerRole } from "./signer-role.ts";

const shop = "shop.example" as TrustDomainName;

describe("a plane's being its trust domain's signer", () => {
  let dataDir: string;
  let clock: VirtualClock;
  beforeEach(() => {
    dataDir = mkdtempSync(join(tmpdir(), "atoll-signer-"));
    clock = new VirtualClock();
  });
  afterEach(() => rmSync(dataDir, { recursive: true }));
  const open = (): SignerRole => SignerRole.open({ trustDomain: shop, dataDir, clock, logger: silentLogger });
  const file = (name: string): string => join(dataDir, "signer", name);
  const joined = (): void => saveFacts(dataDir, { federation: "demo.atoll", cluster: "shop-eu", region: "eu-west", trustDomain: shop, federationRootPem: "", federationAuthorityPem: "" } as never);
  const damages = [
    ["is gone", (path: string) => rmSync(path)],
    ["is damaged", (path: string) => writeFileSync(path, Buffer.alloc(300))],
  ] as const;

  it("is open where its files are whole, which are made at the first start", () => {
    const role = open();
    expect(role.closed).toBeUndefined();
    expect(role.statement()?.bundle).toContain("keys");
  });

  describe.each(["root.pem", "root.key", "authority.pem", "authority.key"])("when %s of a plane that has joined", (name) => {
    it.each(damages)("%s, is closed with the file's name, makes nothing, and opens once that is put back", async (_, damage) => {
      const { bundle } = open().current();
      joined();
      const copy = readFileSync(file(name));
      damage(file(name));
      const before = readdirSync(join(dataDir, "signer")).map((each) => [each, readFileSync(file(each))]);
      const role = open();
      expect(role.closed).toEqual({ role: "signer", reason: expect.stringContaining(name) });
      expect(role.closed?.reason).toMatch(/(missing|damaged).*; put back from a copy/);
      expect(() => role.current()).toThrow(expect.objectContaining({ code: "ATOLL_ROLE_CLOSED", message: expect.stringContaining(name) }));
      expect(role.statement()).toBeUndefined();
      const running = role.run(new AbortController().signal);
      await clock.advance(60_000);
      expect(role.closed).toBeDefined();
      expect(readdirSync(join(dataDir, "signer")).map((each) => [each, readFileSync(file(each))])).toEqual(before);
      writeFileSync(file(name), copy);
      await clock.advance(6_000);
      await running;
      expect(role.closed).toBeUndefined();
      expect(role.current().bundle).toEqual(bundle);
    });
  });

  it.each(damages)("when the roots of a rotation %s, is closed with the file's name, makes no root, and opens once that is put back", async (_, damage) => {
    const signer = open().current();
    joined();
    signer.rotate({ step: "prepare", sequence: 1 }, clock.nowMs());
    const { bundle } = signer;
    const copy = readFileSync(file("roots.json"));
    damage(file("roots.json"));
    const role = open();
    expect(role.closed?.reason).toContain("roots.json");
    expect(() => role.current()).toThrow(expect.objectContaining({ code: "ATOLL_ROLE_CLOSED" }));
    expect(readdirSync(join(dataDir, "signer")).filter((name) => name.startsWith("root."))).toEqual([]);
    const running = role.run(new AbortController().signal);
    writeFileSync(file("roots.json"), copy);
    await clock.advance(6_000);
    await running;
    expect(role.current().bundle).toEqual(bundle);
  });

  it("is nothing to begin without, where nothing goes on meanwhile", () => {
    open();
    writeFileSync(file("root.key"), "");
    expect(open).toThrow(expect.objectContaining({ code: "ATOLL_CONFIG_INVALID" }));
  });

  it("makes no other root where the membership is lost along with it", () => {
    open();
    mkdirSync(join(dataDir, "ca"));
    rmSync(file("root.pem"));
    expect(open().closed?.reason).toContain("root.pem is missing");
  });
});
