import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { parseX509 } from "#federation/identity/authority.ts";
import { createCsr } from "#federation/identity/csr.ts";
import { isIssuedBy } from "#federation/identity/issued-by.ts";
import { createKeyPair } from "#federation/identity/key-pair.ts";
import type { TrustDomainName } from "#federation/model/names.ts";
import { rotationSteps, stepFrom, type RotationStep } from "#federation/model/root-rotation.ts";
import { saveFacts } from "./plane-membership.ts";
import { TrustDomainSigner } from "./signer.ts";

const shop = "shop.example" as TrustDomainName;
const nowMs = Date.UTC(2026, 0, 1);

describe("a signer whose root is rotated", () => {
  let dataDir: string;
  beforeEach(() => {
    dataDir = mkdtempSync(join(tmpdir(), "atoll-roots-"));
  });
  afterEach(() => rmSync(dataDir, { recursive: true }));

  const open = (): TrustDomainSigner => TrustDomainSigner.open(shop, dataDir, nowMs);
  const file = (name: string): string => join(dataDir, "signer", name);
  const take = (signer: TrustDomainSigner, step: RotationStep): void => signer.rotate({ step, sequence: signer.bundle.sequence }, nowMs);
  /** The root of the signer's bundle that vouches for what it issues. */
  const issuing = (signer: TrustDomainSigner): number => {
    const csr = createCsr(createKeyPair());
    const [intermediate = new Uint8Array()] = signer.certify("shop-us", csr, csr, nowMs).intermediateChain;
    return signer.bundle.x509Authorities.findIndex((root) => isIssuedBy(parseX509(intermediate), parseX509(root)));
  };

  it("issues by the first root of its bundle at each step, over a crash after any", () => {
    let signer = open();
    const [first = new Uint8Array()] = signer.bundle.x509Authorities;
    const steps = rotationSteps.map((step) => {
      take(signer, step);
      const { bundle, roots } = signer;
      signer = open();
      expect(signer.bundle).toEqual(bundle);
      expect(signer.roots.current).toEqual(roots.current);
      expect(issuing(signer)).toBe(0);
      return [roots.current.phase, bundle.sequence, bundle.x509Authorities.findIndex((root) => Buffer.compare(root, first) === 0), bundle.x509Authorities.length];
    });
    expect(steps).toEqual([["distributing", 2, 0, 2], ["draining", 3, 1, 2], ["tainted", 4, -1, 1], ["settled", 4, -1, 1]]);
    expect(statSync(file("roots.json")).mode & 0o777).toBe(0o600);
  });

  it("has no key of the former root any more once the other one issues", () => {
    const signer = open();
    const key = readFileSync(file("root.key"), "utf8");
    take(signer, "prepare");
    expect(existsSync(file("root.key")), "a version that knows no rotation would issue by it").toBe(false);
    expect(JSON.stringify(signer.roots.current)).toContain(JSON.stringify(key));
    take(signer, "activate");
    expect(readFileSync(file("roots.json"), "utf8")).not.toContain(JSON.stringify(key));
  });

  it("forgets the first root's files after a crash that left them", () => {
    const signer = open();
    const [key, pem] = [readFileSync(file("root.key")), readFileSync(file("root.pem"))];
    take(signer, "prepare");
    const { bundle } = signer;
    writeFileSync(file("root.key"), key);
    writeFileSync(file("root.pem"), pem);
    expect(open().bundle).toEqual(bundle);
    expect(existsSync(file("root.key")) || existsSync(file("root.pem"))).toBe(false);
  });

  it("takes no step but the next one, and none for what has moved on", () => {
    const signer = open();
    for (const next of rotationSteps) {
      const { sequence } = signer.bundle;
      expect(stepFrom[signer.roots.current.phase]).toBe(next);
      for (const other of rotationSteps.filter((step) => step !== next)) expect(() => signer.rotate({ step: other, sequence }, nowMs)).toThrow(expect.objectContaining({ code: "ATOLL_ROTATION_OUT_OF_STEP", message: expect.stringContaining(`${next} comes next`) }));
      expect(() => signer.rotate({ step: next, sequence: sequence - 1 }, nowMs)).toThrow(expect.objectContaining({ code: "ATOLL_ROTATION_OUT_OF_STEP" }));
      take(signer, next);
    }
  });

  it("stays where it is when the disk does not take a step", () => {
    const signer = open();
    const { bundle } = signer;
    rmSync(join(dataDir, "signer"), { recursive: true });
    writeFileSync(join(dataDir, "signer"), "in the way");
    expect(() => take(signer, "prepare")).toThrow();
    expect(signer.bundle).toEqual(bundle);
    rmSync(join(dataDir, "signer"));
  });

  it.each([
    ["damaged", (text: string) => text.slice(0, 40)],
    ["of no root", (text: string) => text.replaceAll("BEGIN CERTIFICATE", "BEGIN NOTHING")],
    ["of a key that is another's", (text: string) => JSON.stringify({ ...JSON.parse(text), issuing: (JSON.parse(text) as { next: unknown }).next, next: { ...(JSON.parse(text) as { issuing: object }).issuing, privateKeyPem: (JSON.parse(text) as { next: { privateKeyPem: string } }).next.privateKeyPem } })],
  ])("refuses to begin with a file that is %s, and makes no other root in its place", (_, damage) => {
    take(open(), "prepare");
    saveFacts(dataDir, { federation: "demo.atoll", cluster: "shop-eu", region: "eu-west", trustDomain: shop, federationRootPem: "", federationAuthorityPem: "" } as never);
    const text = readFileSync(file("roots.json"), "utf8");
    writeFileSync(file("roots.json"), damage(text));
    expect(open).toThrow(expect.objectContaining({ code: "ATOLL_CONFIG_INVALID", message: expect.stringContaining("the newest roots.json") }));
    writeFileSync(file("roots.json"), text);
    expect(open().bundle.sequence).toBe(2);
  });
});
