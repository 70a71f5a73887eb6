import { X509Certificate } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createIssuer } from "#federation/identity/authority.ts";
import { createKeyPair, parseKeyPair } from "#federation/identity/key-pair.ts";
import { chainPem } from "#federation/identity/pem.ts";
import { createSpiffeId } from "#federation/model/spiffe-id.ts";
import { FederationKeys, initFederation, planeValidityMs } from "./federation-keys.ts";
import { certifyIssuing } from "./issuing-certificate.ts";
import { renewIssuing } from "./issuing-renewal.ts";

const dayMs = 86_400_000;
const madeMs = Date.UTC(2026, 0, 1);
const endMs = madeMs + 365 * dayMs;
let dataDir: string;
let keys: FederationKeys;
let refused: string[];

const path = (name: string): string => join(dataDir, name);
const issue = (nowMs: number): readonly X509Certificate[] => keys.issue({ spiffeId: createSpiffeId(keys.trustDomain, "atoll", "plane", "cluster", "a"), publicKey: createKeyPair().publicKey, nowMs }).map((der) => new X509Certificate(der));
const endOf = (certificate: X509Certificate | undefined): number => certificate?.validToDate.getTime() ?? 0;

beforeEach(() => {
  dataDir = mkdtempSync(join(tmpdir(), "atoll-issuing-"));
  initFederation(dataDir, "fed.example", madeMs);
  refused = [];
  keys = FederationKeys.load(dataDir, { onIssuingRefused: (reason) => void refused.push(reason) });
});
afterEach(() => rmSync(dataDir, { recursive: true }));

describe("what a global plane issues by", () => {
  it("is what lies there at each issue, whoever wrote it while the plane runs, so that what is issued from then on lives its full life", () => {
    const nowMs = endMs - 10 * dayMs;
    expect(endOf(issue(nowMs)[0])).toBe(endMs);
    const { notAfterMs } = renewIssuing({ dataDir, nowMs });
    const [leaf, issuing] = issue(nowMs);
    expect(endOf(issuing)).toBe(notAfterMs);
    expect(endOf(leaf)).toBe(nowMs + planeValidityMs);
    expect(keys.issuePlane("127.0.0.1", nowMs).notAfterMs).toBe(nowMs + planeValidityMs);
    expect(keys.authoritiesAt(nowMs).find(({ role }) => role === "issuing")?.notAfterMs).toBe(notAfterMs);
  });

  it("is the one before while what lies there cannot be used, which is said of each reason once, and the next that can", () => {
    const good = readFileSync(path("federation-issuing.pem"), "utf8");
    const spoilt = [good.slice(0, 200), readFileSync(path("federation-authority.pem"), "utf8"), undefined];
    for (const text of spoilt) {
      if (text === undefined) rmSync(path("federation-issuing.pem"));
      else writeFileSync(path("federation-issuing.pem"), text);
      for (let times = 0; times < 3; times++) expect(endOf(issue(madeMs)[1])).toBe(endMs);
    }
    expect(refused).toHaveLength(spoilt.length);
    writeFileSync(path("federation-issuing.pem"), good);
    const nowMs = madeMs + 200 * dayMs;
    const { notAfterMs } = renewIssuing({ dataDir, nowMs });
    expect(endOf(issue(nowMs)[1])).toBe(notAfterMs);
    expect(refused).toHaveLength(spoilt.length);
  });

  it("is not taken from another root, whose word nobody would take", () => {
    const other = mkdtempSync(join(tmpdir(), "atoll-other-"));
    try {
      initFederation(other, "fed.example", madeMs);
      for (const name of ["federation-issuing.key", "federation-issuing.pem"]) writeFileSync(path(name), readFileSync(join(other, name)));
      expect(issue(madeMs)[1]?.verify(new X509Certificate(keys.rootPem).publicKey)).toBe(true);
      expect(refused).toEqual([expect.stringContaining("was not issued by the federation's root")]);
      expect(() => FederationKeys.load(dataDir)).toThrow(expect.objectContaining({ code: "ATOLL_CERTIFICATE_INVALID" }));
    } finally {
      rmSync(other, { recursive: true });
    }
  });

  it("is the one before, too, for as long as one counts for nobody that was made by a clock that is ahead or behind", () => {
    const aheadMs = madeMs + 100 * dayMs;
    for (const clockMs of [madeMs - 400 * dayMs, aheadMs]) {
      writeFileSync(path("federation-issuing.pem"), certifiedAt(clockMs));
      expect(endOf(issue(madeMs)[1])).toBe(endMs);
    }
    expect(refused).toEqual([expect.stringContaining("and not now: is the clock right"), expect.stringContaining("and not now: is the clock right")]);
    expect(endOf(issue(aheadMs)[1])).toBe(aheadMs + 365 * dayMs);
  });

  /** The same key's certificate as of another time. */
  function certifiedAt(nowMs: number): string {
    const root = createIssuer(keys.rootPem, readFileSync(path("federation-root.key"), "utf8"));
    const { publicKey } = parseKeyPair(readFileSync(path("federation-issuing.key"), "utf8"));
    return chainPem(certifyIssuing(root, { trustDomain: keys.trustDomain, publicKey, nowMs }));
  }

  it("gives nobody a certificate that has ended already, and the plane itself goes on", () => {
    expect(endOf(issue(endMs - 1)[0])).toBe(endMs);
    const ended = expect.objectContaining({ code: "ATOLL_CERTIFICATE_INVALID", message: expect.stringContaining("`atoll renew-issuing`") as string }) as Error;
    expect(() => issue(endMs)).toThrow(ended);
    expect(() => keys.writeEngine("etcd", "etcd", ["127.0.0.1"], endMs)).toThrow(ended);
    expect(() => keys.writeClientContext("team", endMs)).toThrow(ended);
    expect(keys.issuePlane("127.0.0.1", endMs).notAfterMs).toBe(endMs);
    renewIssuing({ dataDir, nowMs: endMs });
    expect(endOf(issue(endMs)[0])).toBe(endMs + planeValidityMs);
  });
});
