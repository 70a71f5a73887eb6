import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createDomainFixture } from "#federation/identity/identity-fixture.ts";
import { systemClock } from "#federation/runtime/clock.ts";
import { livingProcesses } from "#services/cli/up/running.ts";
import { eventually } from "../harness/eventually.ts";
import { buildGoPeer, GoPeer } from "../harness/go-peer.ts";
import { Place, type CommandResult } from "../harness/test-federation.ts";

// Two federations that have nothing in common federate with each other by their bundle endpoints, the one by https_spiffe and the other by
// https_web. What verifies the SVIDs of the other is an application by go-spiffe, from what its sidecar's socket tells it.

const program = await buildGoPeer();

/** One cluster with one service whose sidecar has a socket for its application. */
function fileOf(trustDomain: string, bundleEndpoint: string): string {
  return `apiVersion: atoll.dev/v1alpha1
kind: Federation
metadata: { name: ${trustDomain.replace(".", "-")} }
spec:
  regions: [{ name: here }]
  trustDomains: [{ name: ${trustDomain}, bundleEndpoint: ${bundleEndpoint} }]
  clusters: [{ name: one, region: here, trustDomain: ${trustDomain} }]
  services:
    - { name: app, namespace: web, directory: app, command: [${JSON.stringify(process.execPath)}, server.mjs], workloadApi: true }
`;
}

const server = 'import { createServer } from "node:http";\ncreateServer((_, answer) => answer.end("hello")).listen(Number(process.env.PORT), "127.0.0.1");\n';
const shop = { place: new Place(), trustDomain: "shop.example", id: "spiffe://shop.example/ns/web/sa/app" };
const partner = { place: new Place(), trustDomain: "partner.example", id: "spiffe://partner.example/ns/web/sa/app" };
const web = createDomainFixture("web.example", systemClock.nowMs());
/** Of `up`: where each serves its bundle. */
const endpointOf = new Map<Place, string>();

const file = (place: Place, name: string, text: string): string => {
  writeFileSync(join(place.directory, name), text, { mode: 0o600 });
  return join(place.directory, name);
};
const socketOf = ({ place }: typeof shop): string => join(place.dataDir, "one-app-proxy", "workload.sock");
const domainsOf = (peer: GoPeer): string => peer.identities.at(-1)?.domains.join() ?? "";
const succeeded = (result: CommandResult): string => {
  expect(result, result.stderr).toMatchObject({ code: 0 });
  return result.stdout;
};

async function bringUp({ place, trustDomain }: typeof shop, bundleEndpoint: string): Promise<void> {
  mkdirSync(join(place.directory, "app"));
  file(place, "app/server.mjs", server);
  const stdout = succeeded(await place.atoll("up", file(place, "federation.yaml", fileOf(trustDomain, bundleEndpoint))));
  endpointOf.set(place, new RegExp(`${trustDomain}: https://127\\.0\\.0\\.1:(\\d+)/`).exec(stdout)?.[1] ?? "");
}

/** As the people of `at` would declare it. */
async function declare(at: typeof shop, foreign: typeof shop, spec: object): Promise<CommandResult> {
  const resource = { apiVersion: "atoll.dev/v1alpha1", kind: "FederatedTrustDomain", metadata: { name: foreign.trustDomain }, spec };
  return await at.place.atoll("apply", "-f", file(at.place, "federated.json", JSON.stringify(resource)), "--cluster", "one");
}

interface Listed {
  readonly trustDomain: string;
  readonly sequence?: number;
  readonly fault?: { readonly reason: string };
}

async function listedAt({ place }: typeof shop, trustDomain: string): Promise<Listed | undefined> {
  const { stdout } = await place.atoll("-o", "json", "trust", "bundle", "list");
  return (JSON.parse(stdout) as readonly Listed[]).find((row) => row.trustDomain === trustDomain);
}

beforeAll(async () => {
  if (program === undefined) return;
  await bringUp(shop, "{ profile: https_spiffe }");
  const shown = web.issue("spiffe://web.example/x", "root", { dnsNames: ["localhost"] });
  const [certificateFile, keyFile] = [file(partner.place, "web.pem", shown.certificateChainPem), file(partner.place, "web.key", shown.privateKeyPem)];
  await bringUp(partner, JSON.stringify({ profile: "https_web", certificateFile, keyFile }));
}, 300_000);

afterAll(async () => {
  for (const { place } of [shop, partner]) {
    await place.end();
    if (process.env["ATOLL_KEEP_SCENARIOS"] === undefined) place[Symbol.dispose]();
  }
  program?.[Symbol.dispose]();
}, 60_000);

// Each step rests on the one before it: the order of the tests is part of the scenario.
describe.skipIf(program === undefined)(`two federations${program === undefined ? " (left out: go-spiffe could not be built here)" : ""}`, () => {
  let atShop: GoPeer;
  let atPartner: GoPeer;
  const callBoth = async () => [await atShop.call(await atPartner.address(), "partner", partner.id), await atPartner.call(await atShop.address(), "shop", shop.id)];

  it("know nothing of each other", async () => {
    atShop = new GoPeer(program?.path ?? "", socketOf(shop));
    atPartner = new GoPeer(program?.path ?? "", socketOf(partner));
    expect(await atShop.identityOf(1)).toMatchObject({ id: shop.id, domains: ["shop.example"] });
    expect(await atPartner.identityOf(1)).toMatchObject({ id: partner.id, domains: ["partner.example"] });
    for (const { error } of await callBoth()) expect(error).toMatch(/no X\.509 bundle|bad certificate/);
  });

  it("refuse to take one of their own trust domains for a foreign one", async () => {
    const { code, stderr } = await declare(shop, shop, { bundleEndpoint: { urls: ["https://localhost/"], profile: "https_web" } });
    expect(code).not.toBe(0);
    expect(stderr).toContain("shop.example is a trust domain of this federation");
  });

  it("declare each other, and their applications verify each other's SVIDs from then on", async () => {
    const bundle = succeeded(await shop.place.atoll("trust", "bundle", "show", "shop.example"));
    const spiffe = { urls: [`https://127.0.0.1:${endpointOf.get(shop.place)}/`], profile: "https_spiffe", spiffeId: "spiffe://shop.example/atoll/bundle-endpoint" };
    succeeded(await declare(partner, shop, { bundleEndpoint: spiffe, trustDomainBundle: bundle }));
    succeeded(await declare(shop, partner, { bundleEndpoint: { urls: [`https://localhost:${endpointOf.get(partner.place)}/`], profile: "https_web", webRootsPem: web.root.certificatePem } }));
    await eventually("the applications are told of each other's trust domains", () => [atShop, atPartner].every((peer) => domainsOf(peer) === "partner.example,shop.example"), 60_000);
    expect(await callBoth()).toEqual([
      { event: "answer", status: 200, body: `hello ${shop.id}` },
      { event: "answer", status: 200, body: `hello ${partner.id}` },
    ]);
    expect((await atShop.call(await atPartner.address(), "partner", shop.id)).error, "another identity than the expected").toMatch(/unexpected ID/);
    // What was handed over and what is fetched are the same at the one, and nothing was handed over at the other.
    for (const [at, of, from] of [[shop, partner, "its bundle endpoint"], [partner, shop, "its people, with the FederatedTrustDomain"]] as const) {
      const row = await eventually("it has been fetched", async () => {
        const listed = await listedAt(at, of.trustDomain);
        return listed !== undefined && "confirmedAtMs" in listed ? listed : undefined;
      });
      expect(row).toMatchObject({ sequence: 1, from });
      expect(row).not.toHaveProperty("fault");
    }
    await eventually("all is well", async () => (await shop.place.atoll("check")).code === 0);
  });

  it("go on by what they have where the other is away, through a cold start of plane and sidecar, and say so", async () => {
    await partner.place.end();
    for (const name of ["one-plane", "one-app-proxy"]) {
      const running = (): number | undefined => livingProcesses(shop.place.dataDir).find((process) => process.name === name)?.pid;
      const before = running() ?? 0;
      process.kill(before, "SIGKILL");
      await eventually(`${name} runs again`, () => ![undefined, before].includes(running()), 60_000);
    }
    await using again = new GoPeer(program?.path ?? "", socketOf(shop));
    await eventually("its application is told of the other's trust domain", () => domainsOf(again) === "partner.example,shop.example", 60_000);
    const row = await eventually("the fault is seen", async () => {
      const listed = await listedAt(shop, partner.trustDomain);
      return listed?.fault === undefined ? undefined : listed;
    }, 60_000);
    expect(row).toMatchObject({ sequence: 1, fault: { reason: "unreachable" } });
  });

  it("are strangers again once one is federated no more", async () => {
    await atShop[Symbol.asyncDispose]();
    await using peer = new GoPeer(program?.path ?? "", socketOf(shop));
    await eventually("it is told of both", () => domainsOf(peer) === "partner.example,shop.example", 60_000);
    succeeded(await shop.place.atoll("delete", "federatedtrustdomain", partner.trustDomain, "--cluster", "one"));
    await eventually("the foreign roots are taken back", () => domainsOf(peer) === "shop.example", 60_000);
    expect((await peer.call(await atPartner.address(), "partner", partner.id)).error).toMatch(/no X\.509 bundle/);
    expect(await listedAt(shop, partner.trustDomain)).toBeUndefined();
    await atPartner[Symbol.asyncDispose]();
  });
});
