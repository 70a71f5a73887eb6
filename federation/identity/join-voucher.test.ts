import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { attestationLimits } from "#federation/model/attestation.ts";
import { decodeJoinProof, encodeAttestation } from "./join-proof.ts";
import { createJoinToken, encodeJoinToken } from "./join-token.ts";
import { isJoinable, openVoucher } from "./join-voucher.ts";
import { forgetJoiningKey, keepJoiningKey } from "./joining-key.ts";
import { spkiSha256 } from "./key-pair.ts";

const { signal } = new AbortController();
const where = { addresses: ["plane.example:7411"], rootSha256: "ab".repeat(32) };
let directory: string;
let server: Server | undefined;

beforeEach(() => void (directory = mkdtempSync(join(tmpdir(), "atoll-voucher-"))));
afterEach(async () => {
  server?.closeAllConnections();
  await new Promise<void>((resolve) => (server === undefined ? resolve() : server.close(() => resolve())));
  server = undefined;
  rmSync(directory, { recursive: true });
});

async function metadataService(answer: (request: IncomingMessage, response: ServerResponse) => void): Promise<string> {
  server = createServer(answer);
  await new Promise<void>((resolve) => void server?.listen(0, "127.0.0.1", resolve));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

describe("a voucher", () => {
  it("by a token says what the token says, and proves by it", async () => {
    const token = createJoinToken(where.addresses, where.rootSha256);
    const tokenFile = join(directory, "token");
    writeFileSync(tokenFile, `${encodeJoinToken(token)}\n`);
    const voucher = await openVoucher({ tokenFile });
    expect(voucher).toMatchObject({ ...where, isLasting: false });
    expect(decodeJoinProof(await voucher.prove(signal))).toEqual({ kind: "token", id: token.id, secret: Buffer.from(token.secret, "base64url") });
  });

  it("by an orchestrator's file is read anew for each try", async () => {
    const tokenFile = join(directory, "pod-token");
    const voucher = await openVoucher({ tokenFile: "", attest: { ...where, evidence: { kind: "kubernetes", tokenFile } } });
    await expect(voucher.prove(signal)).rejects.toMatchObject({ code: "ATOLL_EVIDENCE_UNAVAILABLE" });
    for (const document of ["a.b.c", "d.e.f"]) {
      writeFileSync(tokenFile, `${document}\n`);
      expect(decodeJoinProof(await voucher.prove(signal))).toEqual({ kind: "attestation", source: "kubernetes", document });
    }
    writeFileSync(tokenFile, "x".repeat(attestationLimits.documentLength + 1));
    await expect(voucher.prove(signal)).rejects.toThrow(/longer than/);
  });

  it("by Google asks the metadata service for the full format, for the configured audience", async () => {
    const asked: unknown[] = [];
    const metadataUrl = await metadataService((request, response) => {
      asked.push([request.method, request.url, request.headers["metadata-flavor"]]);
      response.end("a.b.c");
    });
    const voucher = await openVoucher({ tokenFile: "", attest: { ...where, evidence: { kind: "google", audience: "atoll://shop eu", metadataUrl } } });
    expect(await voucher.prove(signal)).toBe("attested1.google.a.b.c");
    expect(asked).toEqual([["GET", "/computeMetadata/v1/instance/service-accounts/default/identity?audience=atoll%3A%2F%2Fshop+eu&format=full", "Google"]]);
  });

  it("by AWS opens a session for the document, and takes the line breaks out", async () => {
    const asked: unknown[] = [];
    const metadataUrl = await metadataService((request, response) => {
      asked.push([request.method, request.url, request.headers["x-aws-ec2-metadata-token-ttl-seconds"] ?? request.headers["x-aws-ec2-metadata-token"]]);
      response.end(request.method === "PUT" ? "session-1" : "MIAGCSqGSIb3\nDQEHAqCA+/==");
    });
    const voucher = await openVoucher({ tokenFile: "", attest: { ...where, evidence: { kind: "aws", metadataUrl } } });
    expect(decodeJoinProof(await voucher.prove(signal))).toEqual({ kind: "attestation", source: "aws", document: "MIAGCSqGSIb3DQEHAqCA+/==" });
    expect(asked).toEqual([["PUT", "/latest/api/token", "60"], ["GET", "/latest/dynamic/instance-identity/rsa2048", "session-1"]]);
  });

  it("by Azure takes the signature out of the answer, in the one encoding that it knows", async () => {
    let answer: object = { encoding: "pkcs7", signature: "MIIEEgYJ" };
    const metadataUrl = await metadataService((request, response) => {
      const isRight = request.url === "/metadata/attested/document?api-version=2020-09-01" && request.headers["metadata"] === "true";
      response.writeHead(isRight ? 200 : 400).end(JSON.stringify(answer));
    });
    const voucher = await openVoucher({ tokenFile: "", attest: { ...where, evidence: { kind: "azure", metadataUrl } } });
    expect(await voucher.prove(signal)).toBe("attested1.azure.MIIEEgYJ");
    answer = { encoding: "cose", signature: "MIIEEgYJ" };
    await expect(voucher.prove(signal)).rejects.toMatchObject({ code: "ATOLL_EVIDENCE_UNAVAILABLE" });
  });

  it.each([
    ["refuses", (response: ServerResponse) => void response.writeHead(404).end("no service account")],
    ["sends elsewhere", (response: ServerResponse) => void response.writeHead(302, { location: "http://127.0.0.1:1/" }).end()],
    ["never ends", (response: ServerResponse) => void response.end("x".repeat(attestationLimits.documentLength + 1))],
    ["breaks off", (response: ServerResponse) => void response.destroy()],
  ])("is not to be had while the metadata service %s", async (_, answer) => {
    const metadataUrl = await metadataService((_request, response) => answer(response));
    const voucher = await openVoucher({ tokenFile: "", attest: { ...where, evidence: { kind: "google", audience: "a", metadataUrl } } });
    await expect(voucher.prove(signal)).rejects.toMatchObject({ code: "ATOLL_EVIDENCE_UNAVAILABLE" });
  });

  it("needs a source", async () => {
    expect([{ tokenFile: "" }, { tokenFile: "/token" }].map(isJoinable)).toEqual([false, true]);
    await expect(openVoucher({ tokenFile: "" })).rejects.toMatchObject({ code: "ATOLL_JOIN_TOKEN_INVALID" });
    await expect(openVoucher({ tokenFile: join(directory, "absent") })).rejects.toMatchObject({ code: "ATOLL_JOIN_TOKEN_INVALID" });
  });
});

describe("a proof", () => {
  it("is read only in its own form, and no fault quotes it", () => {
    for (const text of ["attested1.nobody.abc", "attested1.google.", "attested1.google.a b", "attested1.google", encodeAttestation("google", "x".repeat(attestationLimits.documentLength + 1)), "atoll2.abc"]) {
      expect(() => decodeJoinProof(text)).toThrow(expect.objectContaining({ code: "ATOLL_JOIN_TOKEN_INVALID", message: expect.not.stringContaining("abc") }));
    }
  });
});

describe("the key of one who joins", () => {
  it("lies on disk, for its owner alone, before it is used, and is the same until it is forgotten", async () => {
    const path = join(directory, "deep", "joining.key");
    const first = await keepJoiningKey(path);
    expect(readFileSync(path, "utf8")).toContain("PRIVATE KEY");
    expect(statSync(path).mode & 0o077).toBe(0);
    expect(spkiSha256((await keepJoiningKey(path)).publicKey)).toBe(spkiSha256(first.publicKey));
    await forgetJoiningKey(path);
    await forgetJoiningKey(path);
    expect(spkiSha256((await keepJoiningKey(path)).publicKey)).not.toBe(spkiSha256(first.publicKey));
  });
});
