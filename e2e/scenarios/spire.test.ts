import { execFile, spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { encodeBundle, parseBundle } from "#federation/identity/bundle-jwks.ts";
import { createDomainFixture, type DomainFixture } from "#federation/identity/identity-fixture.ts";
import type { SpiffeId } from "#federation/model/names.ts";
import { bundleEndpointId, parseTrustDomainName } from "#federation/model/spiffe-id.ts";
import type { TrustBundle } from "#federation/model/trust-bundle.ts";
import { systemClock } from "#federation/runtime/clock.ts";
import { createDnsLookup } from "#federation/runtime/dns/name-lookup.ts";
import { acceptFetched } from "#services/cluster/federated-bundles/accept-fetched.ts";
import { createBundleFetch } from "#services/cluster/federated-bundles/fetch-bundle.ts";
import { eventually } from "../harness/eventually.ts";
import { ServedBundle } from "../harness/served-bundle.ts";

// A SPIRE server federates with trust domains of Atoll by both profiles, and Atoll with it by https_spiffe. Building one takes ten minutes of a processor, so that this looks for
// the program on the PATH; what it fetches by is go-spiffe, with which bundle-endpoint.test.ts does the same everywhere.

const run = promisify(execFile);
const hasSpire = (process.env["PATH"] ?? "").split(":").some((directory) => existsSync(join(directory, "spire-server")));

describe.skipIf(!hasSpire)(`a SPIRE server${hasSpire ? "" : " (left out: there is no spire-server on the PATH)"}`, () => {
  let directory: string;
  let shop: DomainFixture;
  let pay: DomainFixture;
  let server: ChildProcess | undefined;

  beforeEach(() => {
    // Short: a unix socket's path has 104 characters at most on some systems.
    directory = mkdtempSync(join(tmpdir(), "spire-"));
    shop = createDomainFixture("shop.example", systemClock.nowMs());
    pay = createDomainFixture("pay.example", systemClock.nowMs());
  });
  afterEach(async () => {
    if (server !== undefined) {
      const ended = once(server, "exit");
      server.kill("SIGKILL");
      await ended;
    }
    rmSync(directory, { recursive: true, force: true });
  });

  const file = (name: string, text: string): string => {
    writeFileSync(join(directory, name), text, { mode: 0o600 });
    return join(directory, name);
  };
  const spire = async (...args: readonly string[]): Promise<string> => (await run("spire-server", [...args, "-socketPath", join(directory, "api.sock")])).stdout;
  const refresh = ({ name }: DomainFixture): Promise<string> => spire("federation", "refresh", "-id", `spiffe://${name}`);
  const listed = async ({ name }: DomainFixture) => parseBundle(await spire("bundle", "list", "-format", "spiffe", "-id", `spiffe://${name}`), name);
  const rootsOf = (bundle: { readonly x509Authorities: readonly Uint8Array[] }): readonly string[] => bundle.x509Authorities.map((der) => Buffer.from(der).toString("base64"));

  async function start(federation: string, webRootsPem: string): Promise<void> {
    const config = `server {
  bind_address = "127.0.0.1"
  bind_port = "${await freePort()}"
  socket_path = "${join(directory, "api.sock")}"
  trust_domain = "spire.example"
  data_dir = "${directory}"
  log_level = "ERROR"
  federation {
${federation}
  }
}
plugins {
  DataStore "sql" { plugin_data { database_type = "sqlite3" connection_string = "${join(directory, "datastore.sqlite3")}" } }
  KeyManager "memory" { plugin_data {} }
  NodeAttestor "join_token" { plugin_data {} }
}
`;
    const env = { ...process.env, SSL_CERT_FILE: file("web-roots.pem", webRootsPem) };
    const child = spawn("spire-server", ["run", "-config", file("server.conf", config)], { stdio: ["ignore", "inherit", "inherit"], env });
    server = child;
    await eventually("the SPIRE server is healthy", async () => (await spire("healthcheck").catch(() => "")).includes("healthy"), 60_000);
  }

  it("fetches bundles by https_spiffe and by https_web, again when they change, and federates entries by them", async () => {
    const web = createDomainFixture("web.example", systemClock.nowMs());
    const shown = web.issue("spiffe://web.example/x", "root", { dnsNames: ["localhost"] });
    await using shopServed = await ServedBundle.open(shop, { profile: "https_spiffe", port: 0 });
    await using payServed = await ServedBundle.open(pay, { profile: "https_web", port: 0, certificateFile: file("web.pem", shown.certificateChainPem), keyFile: file("web.key", shown.privateKeyPem) });
    await start(
      `    federates_with "shop.example" {
      bundle_endpoint_url = "https://127.0.0.1:${shopServed.port}/"
      bundle_endpoint_profile "https_spiffe" { endpoint_spiffe_id = "${bundleEndpointId(shop.name)}" }
    }
    federates_with "pay.example" {
      bundle_endpoint_url = "https://localhost:${payServed.port}/"
      bundle_endpoint_profile "https_web" {}
    }`,
      web.root.certificatePem,
    );
    // By the web's roots it needs nothing of us; by the domain's own it is given the first bundle.
    await expect(refresh(shop)).rejects.toThrow(/local copy of bundle not found/);
    await spire("bundle", "set", "-format", "spiffe", "-id", "spiffe://shop.example", "-path", file("bootstrap.json", encodeBundle(shop.bundle)));
    for (const domain of [shop, pay]) {
      await refresh(domain);
      expect(rootsOf(await listed(domain))).toEqual(rootsOf(domain.bundle));
    }

    for (const [domain, served] of [[shop, shopServed], [pay, payServed]] as const) {
      const both = { ...domain.bundle, sequence: 2, x509Authorities: [...domain.bundle.x509Authorities, createDomainFixture(domain.name, systemClock.nowMs()).root.certificateDer] };
      served.keys.set({ issuer: domain.intermediateIssuer, bundle: both });
      await refresh(domain);
      expect(rootsOf(await listed(domain))).toEqual(rootsOf(both));
    }

    const entry = ["-parentID", "spiffe://spire.example/host", "-spiffeID", "spiffe://spire.example/billing", "-selector", "unix:uid:1000"];
    const created = await spire("entry", "create", ...entry, "-federatesWith", "spiffe://shop.example", "-federatesWith", "spiffe://pay.example");
    expect(created).toMatch(/FederatesWith\s*: pay\.example\s+FederatesWith\s*: shop\.example/);
    await expect(spire("entry", "create", ...entry, "-selector", "unix:uid:1001", "-federatesWith", "spiffe://unknown.example"), "it has no bundle of that").rejects.toThrow(/unable to find federated bundle/);
  });

  it("is fetched from by https_spiffe, verified by the bundle of before, and by no other identity or bundle", async () => {
    const port = await freePort();
    await start(`    bundle_endpoint { address = "127.0.0.1" port = ${port} profile "https_spiffe" {} }`, shop.root.certificatePem);
    const name = parseTrustDomainName("spire.example");
    const given = parseBundle(await spire("bundle", "show", "-format", "spiffe"), name);
    const fetch = createBundleFetch({ lookup: createDnsLookup(), ownAddress: "127.0.0.1", clock: systemClock });
    const ask = async (spiffeId: string, believed: TrustBundle | undefined) => await fetch({ trustDomain: name, url: `https://127.0.0.1:${port}/`, endpoint: { profile: "https_spiffe", spiffeId: spiffeId as SpiffeId }, believed }, new AbortController().signal);
    const outcome = await eventually("it answers", async () => {
      const asked = await ask("spiffe://spire.example/spire/server", given);
      return asked.kind === "fetched" ? asked : undefined;
    });
    expect(rootsOf(outcome.bundle)).toEqual(rootsOf(given));
    expect(acceptFetched(given, outcome.bundle).kind).not.toBe("refused");
    expect(outcome.bundle.jwtAuthorities?.length).toBeGreaterThan(0);
    expect(await ask("spiffe://spire.example/other", given)).toMatchObject({ kind: "failed", reason: "identity" });
    const impostor = createDomainFixture(name, systemClock.nowMs());
    expect(await ask("spiffe://spire.example/spire/server", impostor.bundle)).toMatchObject({ kind: "failed", reason: "identity" });
  });
});

async function freePort(): Promise<number> {
  const probe = createServer().listen(0, "127.0.0.1");
  await once(probe, "listening");
  const { port } = probe.address() as AddressInfo;
  probe.close();
  return port;
}
