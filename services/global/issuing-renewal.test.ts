import { spawnSync } from "node:child_process";
import { X509Certificate } from "node:crypto";
import { chmodSync, mkdtempSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createKeyPair, exportPrivateKeyPem } from "#federation/identity/key-pair.ts";
import { chainPem, parseChainPem } from "#federation/identity/pem.ts";
import { createSpiffeId, parseTrustDomainName } from "#federation/model/spiffe-id.ts";
import { FederationKeys, initFederation } from "./federation-keys.ts";
import { renewIssuing, type IssuingOutcome } from "./issuing-renewal.ts";

const dayMs = 86_400_000;
const madeMs = Date.UTC(2026, 0, 1);
/** With the quarter of an hour that it begins earlier. */
const halfMs = madeMs + 182.5 * dayMs;
const federation = parseTrustDomainName("fed.example");
let dataDir: string;

const path = (name: string): string => join(dataDir, name);
const issuing = (): X509Certificate => new X509Certificate(readFileSync(path("federation-issuing.pem")));
const renew = (nowMs: number, options: { readonly rootKeyFile?: string; readonly isForced?: boolean } = {}): IssuingOutcome => renewIssuing({ dataDir, nowMs, ...options });

const refused = (message: string) => expect.objectContaining({ code: "ATOLL_CERTIFICATE_INVALID", message: expect.stringContaining(message) as string }) as Error;

beforeEach(() => {
  dataDir = mkdtempSync(join(tmpdir(), "atoll-issuing-"));
  initFederation(dataDir, federation, madeMs);
});
afterEach(() => rmSync(dataDir, { recursive: true }));

describe("the renewal of what a federation issues by", () => {
  it("waits until half of its life is over, and needs no root key before", () => {
    const before = issuing();
    renameSync(path("federation-root.key"), path("offline.key"));
    expect(renew(halfMs - 0.5 * dayMs)).toEqual({ isNew: false, notAfterMs: madeMs + 365 * dayMs });
    expect(issuing().serialNumber).toBe(before.serialNumber);
  });

  it("certifies the same key for a year again, by a root key that is elsewhere, and once", () => {
    const before = issuing();
    renameSync(path("federation-root.key"), path("offline.key"));
    expect(renew(halfMs, { rootKeyFile: path("offline.key") })).toEqual({ isNew: true, notAfterMs: halfMs + 365 * dayMs });
    const after = issuing();
    expect(after.serialNumber).not.toBe(before.serialNumber);
    expect(after.publicKey.equals(before.publicKey)).toBe(true);
    expect(statSync(path("federation-issuing.pem")).mode & 0o777).toBe(0o600);
    expect(renew(halfMs)).toEqual({ isNew: false, notAfterMs: halfMs + 365 * dayMs });
  });

  it("is done before that when it is forced, and where the issuing key is not", () => {
    rmSync(path("federation-issuing.key"));
    expect(renew(madeMs + dayMs, { isForced: true })).toEqual({ isNew: true, notAfterMs: madeMs + 366 * dayMs });
  });

  it("is refused by a clock that is behind, and forced where the present one was made by a clock that was ahead", () => {
    expect(() => renew(madeMs - dayMs)).toThrow(refused("is the clock right here (2025-12-31T00:00:00.000Z)?"));
    expect(renew(madeMs - dayMs, { isForced: true })).toEqual({ isNew: true, notAfterMs: madeMs + 364 * dayMs });
  });

  it("works after the end of the one before, too", () => {
    expect(renew(madeMs + 400 * dayMs).isNew).toBe(true);
  });

  const otherKey = (): string => exportPrivateKeyPem(createKeyPair().privateKey);
  it.each<readonly [string, () => void, { readonly code: string; readonly message: string }]>([
    ["the root's key is not there", () => rmSync(path("federation-root.key")), { code: "ATOLL_KEY_FILE_INVALID", message: "bring it from where it is kept offline, or name it with --root-key" }],
    ["others may read the root's key", () => chmodSync(path("federation-root.key"), 0o644), { code: "ATOLL_KEY_FILE_INVALID", message: "chmod 600" }],
    ["the root's key is another's", () => writeFileSync(path("federation-root.key"), otherKey()), { code: "ATOLL_KEY_FILE_INVALID", message: "is not the key of this federation's root (federation-root.pem)" }],
    ["the root's key is none", () => writeFileSync(path("federation-root.key"), "-----BEGIN"), { code: "ATOLL_KEY_FILE_INVALID", message: "is not the key of this federation's root (federation-root.pem)" }],
    ["the root is another's", () => withOther((other) => renameSync(join(other, "federation-root.pem"), path("federation-root.pem"))), { code: "ATOLL_CERTIFICATE_INVALID", message: "federation-issuing.pem was not issued by the federation's root (federation-root.pem)" }],
    ["the issuing key is not that of the certificate", () => writeFileSync(path("federation-issuing.key"), otherKey()), { code: "ATOLL_CERTIFICATE_INVALID", message: "do not belong together" }],
    ["there is no federation", () => rmSync(path("federation.json")), { code: "ATOLL_CONFIG_INVALID", message: "federation.json cannot be read" }],
  ])("is refused when %s, and nothing is written", (_, spoil, { code, message }) => {
    const before = readFileSync(path("federation-issuing.pem"), "utf8");
    spoil();
    expect(() => renew(halfMs)).toThrow(expect.objectContaining({ code, message: expect.stringContaining(message) as string }) as Error);
    expect(readFileSync(path("federation-issuing.pem"), "utf8")).toBe(before);
  });

  it("is refused when the root ends before the new one would, unless it is forced to end with it, and after the root's end in any case", () => {
    const rootEndMs = madeMs + 3_650 * dayMs;
    expect(() => renew(rootEndMs - 364 * dayMs)).toThrow(refused("the federation's root ends on 2035-12-30, before a new issuing certificate would"));
    expect(renew(rootEndMs - 364 * dayMs, { isForced: true })).toEqual({ isNew: true, notAfterMs: rootEndMs });
    expect(() => renew(rootEndMs - 300 * dayMs, { isForced: true })).toThrow(refused("no later than the present one does"));
    expect(() => renew(rootEndMs, { isForced: true })).toThrow(refused("the federation's root ended on 2035-12-30"));
  });

  function withOther(use: (directory: string) => void): void {
    const directory = mkdtempSync(join(tmpdir(), "atoll-other-"));
    try {
      initFederation(directory, federation, madeMs);
      use(directory);
    } finally {
      rmSync(directory, { recursive: true });
    }
  }
});

it("openssl accepts strictly what was issued before a renewal, by the chain that it has, and what is issued after it, by the new one", () => {
  const keys = FederationKeys.load(dataDir);
  const issue = (nowMs: number): readonly Uint8Array[] => keys.issue({ spiffeId: createSpiffeId(federation, "atoll", "plane", "cluster", "shop-eu"), publicKey: createKeyPair().publicKey, nowMs, commonName: "plane" });
  const before = issue(halfMs);
  renew(halfMs);
  const after = issue(halfMs);
  const [, oldIssuing = new Uint8Array()] = before;
  const [, newIssuing = new Uint8Array()] = after;
  expect(Buffer.from(newIssuing).equals(oldIssuing)).toBe(false);
  for (const chain of [before, after, [before[0] ?? new Uint8Array(), newIssuing]]) expect(verifyStrictly(chain, halfMs + dayMs)).toMatchObject({ status: 0 });
  // The year of the one before is over; the new one holds.
  expect(verifyStrictly([...issue(madeMs + 364 * dayMs)], madeMs + 366 * dayMs)).toMatchObject({ status: 0 });
  expect(verifyStrictly([after[0] ?? new Uint8Array(), oldIssuing], madeMs + 366 * dayMs)).not.toMatchObject({ status: 0 });
});

function verifyStrictly(chain: readonly Uint8Array[], atMs: number): ReturnType<typeof spawnSync> {
  const [leaf = new Uint8Array(), ...above] = chain;
  writeFileSync(path("leaf.pem"), chainPem([leaf]));
  writeFileSync(path("above.pem"), chainPem(above));
  writeFileSync(path("root.pem"), chainPem(parseChainPem(readFileSync(path("federation-root.pem"), "utf8"))));
  return spawnSync("openssl", ["verify", "-x509_strict", "-purpose", "sslserver", "-attime", String(Math.floor(atMs / 1_000)), "-CAfile", path("root.pem"), "-untrusted", path("above.pem"), path("leaf.pem")], { encoding: "utf8" });
}
