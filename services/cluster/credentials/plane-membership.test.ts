import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:https";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { JoinAnswer, JoinRequest } from "#federation/admin-api/join-contract.ts";
import { createDomainFixture } from "#federation/identity/identity-fixture.ts";
import { publicKeyFromCsr } from "#federation/identity/csr.ts";
import { createJoinToken, encodeJoinToken } from "#federation/identity/join-token.ts";
import { sha256Hex, spkiSha256 } from "#federation/identity/key-pair.ts";
import { issueSvid } from "#federation/identity/leaf.ts";
import { chainPem, parseChainPem } from "#federation/identity/pem.ts";
import { createServerTlsOptions, createTlsMaterial } from "#federation/identity/tls-options.ts";
import type { ClusterId, RegionId, SpiffeId, TrustDomainName } from "#federation/model/names.ts";
import { systemClock } from "#federation/runtime/clock.ts";
import { joinFederation, loadMembership } from "./plane-membership.ts";

describe("joining the federation", () => {
  const { signal } = new AbortController();
  const federation = createDomainFixture("demo.atoll", systemClock.nowMs());
  const [root = new Uint8Array()] = parseChainPem(federation.root.certificatePem);
  const rootSha256 = sha256Hex(root);
  let directory: string;
  let server: Server;
  let address: string;
  let requests: JoinRequest[];
  let answersToLose: number;

  beforeEach(async () => {
    directory = mkdtempSync(join(tmpdir(), "atoll-member-"));
    requests = [];
    answersToLose = 0;
    const material = createTlsMaterial(federation.issue("spiffe://demo.atoll/atoll/plane/global"), [federation.bundle]);
    server = createServer(createServerTlsOptions(material, { clients: "none", presentedRoot: root }), (request, response) => {
      const parts: Buffer[] = [];
      request.on("data", (part: Buffer) => parts.push(part));
      request.on("end", () => {
        const asked = JSON.parse(Buffer.concat(parts).toString("utf8")) as JoinRequest;
        requests.push(asked);
        if (answersToLose-- > 0) response.destroy();
        else response.end(JSON.stringify(answerTo(asked)));
      });
    });
    await new Promise<void>((resolve) => void server.listen(0, "127.0.0.1", resolve));
    address = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  });
  afterEach(async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
    rmSync(directory, { recursive: true });
  });

  function answerTo({ csr }: JoinRequest): JoinAnswer {
    const publicKey = publicKeyFromCsr(Buffer.from(csr, "base64"));
    const chain = issueSvid(federation.intermediateIssuer, { spiffeId: "spiffe://demo.atoll/atoll/plane/cluster/shop-eu" as SpiffeId, publicKey, validityMs: 3_600_000, nowMs: systemClock.nowMs() });
    return {
      federation: "demo.atoll" as TrustDomainName,
      cluster: "shop-eu" as ClusterId,
      region: "eu-west" as RegionId,
      trustDomain: "shop.example" as TrustDomainName,
      certificateChainPem: chainPem(chain),
      federationRootPem: federation.root.certificatePem,
      federationAuthorityPem: federation.root.certificatePem,
      apiAddresses: [],
    };
  }
  const keyOf = ({ csr }: JoinRequest): string => spkiSha256(publicKeyFromCsr(Buffer.from(csr, "base64")));
  const joinBy = (source: Parameters<typeof joinFederation>[0]["source"]) => joinFederation({ dataDir: directory, cluster: "shop-eu", source, statement: undefined, clock: systemClock }, signal);

  it("comes with the same key until it has an answer, also when the process was started anew, and with another one the next time", async () => {
    const token = createJoinToken([address], rootSha256, "many");
    const tokenFile = join(directory, "token");
    writeFileSync(tokenFile, encodeJoinToken(token));
    answersToLose = 2;
    for (let tries = 0; tries < 2; tries++) await expect(joinBy({ tokenFile })).rejects.toMatchObject({ code: "ATOLL_PEER_UNAVAILABLE" });
    expect((await joinBy({ tokenFile })).facts.cluster).toBe("shop-eu");
    expect((await loadMembership(directory))?.svid.spiffeId).toBe("spiffe://demo.atoll/atoll/plane/cluster/shop-eu");
    expect(existsSync(join(directory, "plane", "joining.key"))).toBe(false);
    await joinBy({ tokenFile });
    expect(new Set(requests.slice(0, 3).map(keyOf)).size).toBe(1);
    expect(requests.map(keyOf)[3]).not.toBe(requests.map(keyOf)[0]);
    expect(requests[0]).toMatchObject({ tokenId: token.id, secret: token.secret });
    expect(requests[0]).not.toHaveProperty("attestation");
  });

  it("by evidence shows the document of the day, and stays the same instance to it", async () => {
    const tokenFile = join(directory, "pod-token");
    const source = { tokenFile: "", attest: { addresses: [address], rootSha256, evidence: { kind: "kubernetes", tokenFile } } } as const;
    await expect(joinBy(source)).rejects.toMatchObject({ code: "ATOLL_EVIDENCE_UNAVAILABLE" });
    for (const document of ["a.b.c", "d.e.f"]) {
      writeFileSync(tokenFile, document);
      await joinBy(source);
    }
    expect(requests.map(({ attestation }) => attestation)).toEqual(["attested1.kubernetes.a.b.c", "attested1.kubernetes.d.e.f"]);
    expect(new Set(requests.map(keyOf)).size).toBe(1);
    for (const request of requests) expect(request).not.toHaveProperty("secret");
  });
});
