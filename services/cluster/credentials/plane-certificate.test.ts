import { mkdtempSync, rmSync } from "node:fs";
import { createServer, type Server } from "node:https";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { TLSSocket } from "node:tls";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { renewPath } from "#federation/admin-api/join-contract.ts";
import { createAnchors } from "#federation/identity/anchors.ts";
import { publicKeyFromCsr } from "#federation/identity/csr.ts";
import { createDomainFixture, type DomainFixture } from "#federation/identity/identity-fixture.ts";
import { issueSvid } from "#federation/identity/leaf.ts";
import { chainPem } from "#federation/identity/pem.ts";
import { saveSvid } from "#federation/identity/svid-files.ts";
import { createServerTlsOptions } from "#federation/identity/tls-options.ts";
import type { ClusterId, RegionId, SpiffeId, TrustDomainName } from "#federation/model/names.ts";
import { systemClock } from "#federation/runtime/clock.ts";
import { VirtualClock } from "#federation/runtime/virtual-clock.ts";
import { silentLogger } from "#federation/telemetry/logger.ts";
import { PlaneCertificate } from "./plane-certificate.ts";
import { loadMembership, saveFacts, type PlaneMembership } from "./plane-membership.ts";

const dayMs = 86_400_000;
const planeId = "spiffe://demo.atoll/atoll/plane/cluster/shop-eu";

describe("PlaneCertificate", () => {
  let directory: string;
  let federation: DomainFixture;
  let server: Server;
  let clock: VirtualClock;
  let membership: PlaneMembership;
  let certificate: PlaneCertificate;
  let stop: AbortController;
  let running: Promise<void>;
  let issuedAs: SpiffeId;
  let callers: string[];
  let failures: number;

  /** Virtual time until the renewal is due: half of the life, since this test's randomness moves nothing. */
  const dueMs = (): number => (membership.svid.notBeforeMs + membership.svid.notAfterMs) / 2 - clock.nowMs();

  /** Lets real sockets work while virtual time stands still. */
  const eventually = async (holds: () => boolean): Promise<void> => {
    for (let turn = 0; turn < 5_000 && !holds(); turn++) await new Promise<void>((resolve) => void systemClock.schedule(1, resolve));
    expect(holds()).toBe(true);
  };

  async function openGlobal(as = "spiffe://demo.atoll/atoll/plane/global"): Promise<number> {
    const tls = createServerTlsOptions({ svid: federation.issue(as), anchors: createAnchors([federation.bundle]) }, { clients: "required" });
    server = createServer(tls, (request, response) => {
      const parts: Buffer[] = [];
      request.on("data", (part: Buffer) => parts.push(part));
      request.on("end", () => {
        if (request.socket instanceof TLSSocket) callers.push(`${request.method} ${request.url} ${request.socket.getPeerX509Certificate()?.subjectAltName}`);
        const { csr } = JSON.parse(Buffer.concat(parts).toString("utf8")) as { readonly csr: string };
        const chain = issueSvid(federation.intermediateIssuer, { spiffeId: issuedAs, publicKey: publicKeyFromCsr(Buffer.from(csr, "base64")), validityMs: 10 * dayMs, nowMs: clock.nowMs() });
        response.end(JSON.stringify({ certificateChainPem: chainPem(chain), apiAddresses: ["127.0.0.1:7400"] }));
      });
    });
    await new Promise<void>((resolve) => void server.listen(0, "127.0.0.1", resolve));
    return (server.address() as AddressInfo).port;
  }

  async function start(port: number, rejoin?: () => Promise<PlaneMembership>): Promise<void> {
    const facts: PlaneMembership["facts"] = {
      federation: "demo.atoll" as TrustDomainName,
      cluster: "shop-eu" as ClusterId,
      region: "eu-west" as RegionId,
      trustDomain: "shop.example" as TrustDomainName,
      federationRootPem: federation.root.certificatePem,
      federationAuthorityPem: federation.root.certificatePem,
      apiAddresses: [`127.0.0.1:${port}`],
    };
    const svid = federation.issue(planeId, "intermediate", { validityMs: 10 * dayMs });
    membership = { facts, svid, federationBundle: federation.bundle };
    await saveSvid(join(directory, "plane"), svid);
    saveFacts(directory, facts);
    certificate = new PlaneCertificate({ membership, ...(rejoin === undefined ? {} : { rejoin }), dataDir: directory, onFailure: () => void failures++, clock, random: { next: () => 0.5, bytes: (length) => new Uint8Array(length) }, logger: silentLogger });
    running = certificate.run(stop.signal);
  }

  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), "atoll-plane-"));
    // The handshakes are judged by the machine's clock, so virtual time begins there.
    clock = new VirtualClock(systemClock.nowMs());
    federation = createDomainFixture("demo.atoll", clock.nowMs());
    stop = new AbortController();
    issuedAs = planeId as SpiffeId;
    callers = [];
    failures = 0;
  });
  afterEach(async () => {
    stop.abort();
    await running;
    server.closeAllConnections();
    server.close();
    rmSync(directory, { recursive: true, force: true });
  });

  it("renews at half of its life over mutual TLS, keeps the new one on disk, and follows where the global plane moved", async () => {
    await start(await openGlobal());
    const { svid } = membership;
    await clock.advance(dueMs() - 1_000);
    expect(callers).toEqual([]);
    await clock.advance(1_000);
    await eventually(() => certificate.svid.current !== svid);
    expect(callers).toEqual([`POST ${renewPath} URI:${planeId}`]);
    expect(certificate.svid.current.privateKeyPem).not.toBe(svid.privateKeyPem);
    expect(certificate.svid.current.notAfterMs).toBeGreaterThan(svid.notAfterMs);
    const loaded = await loadMembership(directory);
    expect(loaded?.svid).toEqual(certificate.svid.current);
    expect(loaded?.facts.apiAddresses).toEqual(["127.0.0.1:7400"]);
  });

  it("keeps the present one when somebody else answers in the global plane's place", async () => {
    await start(await openGlobal("spiffe://demo.atoll/atoll/plane/cluster/shop-us"));
    await clock.advance(dueMs());
    await eventually(() => failures === 1);
    expect(callers).toEqual([]);
    expect(certificate.svid.current).toBe(membership.svid);
  });

  it("joins anew once it has expired, where it may, and only then", async () => {
    await openGlobal();
    const rejoined: PlaneMembership[] = [];
    const fresh = federation.issue(planeId, "intermediate", { validityMs: 12 * dayMs });
    // Nobody answers at port 1.
    await start(1, () => {
      rejoined.push({ ...membership, svid: fresh });
      return Promise.resolve({ ...membership, svid: fresh });
    });
    await clock.advance(dueMs());
    await eventually(() => failures > 0);
    expect(rejoined).toEqual([]);
    // A jump, since days of failed tries would have to be lived through.
    clock.jumpWall(membership.svid.notAfterMs - clock.nowMs());
    for (let turn = 0; turn < 500 && rejoined.length === 0; turn++) {
      await clock.advance(60_000);
      await new Promise<void>((resolve) => void systemClock.schedule(1, resolve));
    }
    await eventually(() => certificate.svid.current === fresh);
  });

  it("takes no certificate of another name", async () => {
    issuedAs = "spiffe://demo.atoll/atoll/plane/cluster/shop-us" as SpiffeId;
    await start(await openGlobal());
    await clock.advance(dueMs());
    await eventually(() => failures === 1);
    expect(callers).toHaveLength(1);
    expect((await loadMembership(directory))?.svid).toEqual(membership.svid);
  });
});
