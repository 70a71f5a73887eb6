import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createTestIssuer } from "#federation/identity/jwt-fixture.ts";
import { decodeJoinToken } from "#federation/identity/join-token.ts";
import { systemClock } from "#federation/runtime/clock.ts";
import { call } from "../harness/http-call.ts";
import { eventually } from "../harness/eventually.ts";
import { oneCluster } from "../harness/plans.ts";
import { TestFederation, type CommandResult } from "../harness/test-federation.ts";

/** Undefined only where it could not be brought up; then no test runs. */
let federation: TestFederation;
let planeConfig = "";
/** Everything that must be read nowhere, by what it is. */
const secrets = new Map<string, string>();
const said: CommandResult[] = [];
const audience = "atoll://shop-eu";
const issuer = "https://cluster.example";
const cluster = createTestIssuer("RS256");

/** A token, as a whole and its secret alone. */
function remember(what: string, token: string): void {
  secrets.set(what, token.trim());
  secrets.set(`the secret of ${what}`, decodeJoinToken(token).secret);
}

function podToken(serviceAccount: string): string {
  const now = Math.floor(systemClock.nowMs() / 1_000);
  const held = { namespace: "web", pod: { name: `${serviceAccount}-1`, uid: "1" }, serviceaccount: { name: serviceAccount, uid: "2" } };
  return cluster.sign({ iss: issuer, aud: [audience], sub: `system:serviceaccount:web:${serviceAccount}`, iat: now, exp: now + 3_600, "kubernetes.io": held });
}

/** Files below `directory`, without sockets. */
function filesIn(directory: string): readonly string[] {
  return readdirSync(directory, { recursive: true, encoding: "utf8" }).map((name) => join(directory, name)).filter((path) => existsSync(path) && statSync(path).isFile());
}

function expectNone(where: string, text: string): void {
  const found = [...secrets].filter(([, secret]) => text.includes(secret)).map(([what]) => what);
  expect(found, where).toEqual([]);
}

// Each step rests on the one before it: the order of the tests is part of the scenario.
describe("the secrets of joining, on real processes", () => {
  beforeAll(async () => {
    federation = await TestFederation.start(oneCluster);
    const { dataDir, directory } = federation.place;
    // What `up` joined by, as its files still say.
    for (const path of filesIn(dataDir)) {
      const text = statSync(path).size < 64 * 1024 ? readFileSync(path, "utf8") : "";
      if (text.startsWith("atoll1.")) remember(`the token in ${path}`, text);
    }
    expect(secrets.size).toBeGreaterThan(4);
    // The plane's configuration gets an orchestrator to believe, and the plane starts again by it.
    const keysFile = join(directory, "cluster-keys.json");
    writeFileSync(keysFile, cluster.jwks);
    planeConfig = filesIn(dataDir).find((path) => path.includes("shop-eu-plane") && path.endsWith(".json") && readFileSync(path, "utf8").includes("globalJoinTokenFile")) ?? "";
    const config = JSON.parse(readFileSync(planeConfig, "utf8")) as object;
    const attestation = { sources: { pods: { kind: "kubernetes", issuer, audience, keysFile } }, rules: [{ source: "pods", facts: {}, gives: { kind: "workload" } }] };
    writeFileSync(planeConfig, JSON.stringify({ ...config, attestation, logLevel: "debug" }));
    await federation.stop("shop-eu-plane");
    await federation.start("shop-eu-plane");
  }, 240_000);

  afterAll(async () => {
    await (federation as TestFederation | undefined)?.[Symbol.asyncDispose]();
  }, 60_000);

  it("go to standard output alone when a person makes them", async () => {
    for (const words of [["workload:web/one"], ["workload:web/many", "--uses", "3"], ["gateway"]]) {
      const result = await federation.place.atoll("token", "create", ...words, "--cluster", "shop-eu");
      expect(result, result.stderr).toMatchObject({ code: 0 });
      remember(`the token for ${words[0]}`, result.stdout);
      said.push({ ...result, stdout: "" });
    }
    said.push(await federation.place.atoll("token", "list", "--cluster", "shop-eu"), await federation.place.atoll("audit", "--cluster", "shop-eu"), await federation.place.atoll("status"));
    for (const { code, stdout, stderr } of said) {
      expect(code, stderr).toBe(0);
      expectNone("what commands say", stdout + stderr);
    }
  });

  it("let in proxies by token, and by what an orchestrator attests", async () => {
    await federation.addCaller("by-token", { cluster: "shop-eu", region: "eu-west", namespace: "web", serviceAccount: "one" }, { logLevel: "debug" });
    remember("the proxy's token", readFileSync(join(federation.directoryOf("by-token"), "join-token"), "utf8"));
    const { addresses, rootSha256 } = decodeJoinToken(secrets.get("the proxy's token") ?? "");
    const document = podToken("attested");
    secrets.set("the attested document", document);
    const tokenFile = join(federation.place.directory, "pod-token");
    writeFileSync(tokenFile, document, { mode: 0o600 });
    await federation.addCaller("by-evidence", { cluster: "shop-eu", region: "eu-west", namespace: "web", serviceAccount: "one" }, { logLevel: "debug", joinTokenFile: "", joinAttest: { addresses, rootSha256, evidence: { kind: "kubernetes", tokenFile } } });
    expect(await federation.admin("by-evidence", "/stats")).toMatchObject({ identity: { spiffeId: "spiffe://shop.example/ns/web/sa/attested" } });
    expect(await federation.log("shop-eu-plane")).toContain("web/attested in pod attested-1");
    expect(await federation.callThrough("by-evidence", "catalog.web", "/")).toMatchObject({ status: 200 });
  });

  it("are refused without being repeated, when they are wrong or used again", async () => {
    const stolen = join(federation.place.directory, "stolen");
    mkdirSync(stolen);
    const forged = createTestIssuer("RS256").sign({ iss: issuer, aud: [audience], sub: "system:serviceaccount:web:root", iat: 1, exp: 2 });
    secrets.set("a forged document", forged);
    writeFileSync(join(stolen, "token"), forged);
    const { addresses, rootSha256 } = decodeJoinToken(secrets.get("the proxy's token") ?? "");
    const used = federation.redeem(secrets.get("the proxy's token") ?? "").then(() => undefined, (error: unknown) => error);
    expect(await used).toMatchObject({ code: "ATOLL_JOIN_TOKEN_REFUSED" });
    for (const document of [forged, secrets.get("the attested document") ?? ""]) {
      const refused = federation.redeemVoucher({ addresses, rootSha256, isLasting: true, prove: () => Promise.resolve(`attested1.kubernetes.${document}`) }).then(() => undefined, (error: unknown) => error);
      expect(await refused).toMatchObject({ code: "ATOLL_JOIN_TOKEN_REFUSED" });
    }
    await eventually("the plane has counted why", async () => {
      const { listen } = JSON.parse(readFileSync(planeConfig, "utf8")) as { readonly listen: { readonly metricsPort: number } };
      const page = (await call(listen.metricsPort, { path: "/metrics" })).body;
      return ["document", "replayed"].every((why) => page.includes(`reason="ATOLL_JOIN_TOKEN_REFUSED:${why}"`));
    });
  });

  it("also those that sign and those of proxies, stand in no log", async () => {
    for (const path of filesIn(federation.place.dataDir)) {
      const text = statSync(path).size < 64 * 1024 ? readFileSync(path, "utf8") : "";
      for (const [, body = ""] of text.replaceAll("\\n", "\n").matchAll(/-----BEGIN (?:EC )?PRIVATE KEY-----\s+([A-Za-z0-9+/=\s]+)-----END/g)) secrets.set(`a private key of ${path}`, body.split("\n")[1] ?? body.trim());
    }
    expect([...secrets.keys()].filter((what) => what.startsWith("a private key")).length).toBeGreaterThan(5);
    const processes = await federation.list();
    for (const { name } of processes) expectNone(`the log of ${name}`, await federation.log(name));
    expect((await federation.log("shop-eu-plane")).length).toBeGreaterThan(100);
  });

  it("stand in no store, no audit trail and no last known good state: nowhere but in the files that hold them", () => {
    const files = filesIn(federation.place.dataDir);
    const holding = files.filter((path) => {
      const text = readFileSync(path, "latin1");
      return [...secrets.values()].some((secret) => text.includes(secret));
    });
    const holders = /\/(join-token|[a-z-]+\.key|ca\/jwt\.json|svid\.pem|admin-context\.json)$/;
    expect(holding.filter((path) => !holders.test(path))).toEqual([]);
    // They are found where they belong, so that looking for them is worth something, and these were looked into.
    expect(holding.length).toBeGreaterThan(10);
    for (const kept of [/store\.sqlite$/, /store\.sqlite-wal$/, /audit\.jsonl$/, /\/lkg\//, /processes\.json$/, /access\.log$/]) expect(files.some((path) => kept.test(path)), String(kept)).toBe(true);
  });

  it.runIf(process.platform === "linux")("stand in no process's arguments or environment, where others of the machine look", async () => {
    const running = (await federation.list()).filter(({ pid }) => pid !== undefined);
    expect(running.length).toBeGreaterThan(4);
    for (const { name, pid } of running) {
      for (const list of ["cmdline", "environ"]) expectNone(`${list} of ${name}`, readFileSync(`/proc/${pid}/${list}`, "utf8"));
    }
  });
});
