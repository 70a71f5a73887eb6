import { X509Certificate } from "node:crypto";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { createTestAuthority } from "#federation/admin-api/tls-fixture.ts";
import { AtollError } from "#federation/runtime/errors.ts";
import { certificateProblems, contextsHere } from "./certificate-findings.ts";

const minuteMs = 60_000;
const authority = createTestAuthority();

/** A context of the one whom `spiffeId` names, by a certificate of two hours, and when that ends. */
function contextOf(spiffeId: string): { readonly text: string; readonly endMs: number } {
  const { caPem, certificateChainPem, privateKeyPem } = authority.issue(spiffeId);
  const text = JSON.stringify({ server: "127.0.0.1:1", federation: "shop.atoll", caPem, certificatePem: certificateChainPem, privateKeyPem });
  return { text, endMs: new X509Certificate(certificateChainPem).validToDate.getTime() };
}

const client = contextOf("spiffe://shop.atoll/atoll/client/team");
const admin = contextOf("spiffe://shop.atoll/atoll/admin/local");

describe("the contexts that are used here", () => {
  it("are the command's own and those of the file's clients, as far as there are any", () => {
    const dataDir = mkdtempSync(join(tmpdir(), "atoll-contexts-"));
    try {
      mkdirSync(join(dataDir, "global", "clients"), { recursive: true });
      writeFileSync(join(dataDir, "global", "clients", "team.json"), client.text);
      const clients = [{ name: "team" }, { name: "newcomer" }];
      expect(contextsHere({ contextText: admin.text }, { dataDir, clients })).toEqual([admin.text, client.text]);
      const before = {
        get contextText(): string {
          throw new AtollError("ATOLL_FEDERATION_NOT_RUNNING", "there is no admin context yet");
        },
      };
      expect(contextsHere(before, { dataDir, clients: [] })).toEqual([]);
    } finally {
      rmSync(dataDir, { recursive: true });
    }
  });
});

describe("what is found of callers' certificates", () => {
  it("is nothing until the last part of their life", () => {
    expect(certificateProblems([client.text], client.endMs - 31 * minuteMs)).toEqual([]);
    expect(certificateProblems([client.text], client.endMs - 30 * minuteMs)).toEqual(["the certificate of spiffe://shop.atoll/atoll/client/team ends in 30 min: `atoll up` makes another, elsewhere the global plane's `init --client`"]);
  });

  it("says how long ago one has ended, and who makes another", () => {
    expect(certificateProblems([admin.text], admin.endMs + 3 * 86_400_000)).toEqual(["the certificate of spiffe://shop.atoll/atoll/admin/local ended 3 d ago: the global plane makes another when it starts"]);
    expect(certificateProblems([admin.text], admin.endMs)).toEqual(["the certificate of spiffe://shop.atoll/atoll/admin/local ended 0 ms ago: the global plane makes another when it starts"]);
  });

  it("names each caller once", () => {
    expect(certificateProblems([client.text, admin.text, client.text], client.endMs + minuteMs)).toHaveLength(2);
  });

  it("is nothing of callers by token, nor of what is no context", () => {
    const byToken = JSON.stringify({ server: "127.0.0.1:1", federation: "shop.atoll", caPem: "x", tokenFile: "/run/token" });
    const damaged = client.text.replace("BEGIN CERTIFICATE-----\\n", "BEGIN CERTIFICATE-----\\n!");
    expect(certificateProblems([byToken, "{", damaged.replace(/MII/g, "###")], client.endMs)).toEqual([]);
  });
});
