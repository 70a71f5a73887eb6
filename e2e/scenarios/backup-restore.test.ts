import { existsSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createBackupKey } from "#federation/model/backup-recipient.ts";
import { apiVersion, type Service, type TrafficPolicy } from "#federation/model/resource.ts";
import { findTestEngine } from "../contract/test-engines.ts";
import { eventually } from "../harness/eventually.ts";
import { oneCluster } from "../harness/plans.ts";
import { TestFederation } from "../harness/test-federation.ts";

const hasEngines = (await findTestEngine("etcd")) !== undefined && (await findTestEngine("nats-server")) !== undefined;
const { signal } = new AbortController();
const [key, stranger] = [createBackupKey(), createBackupKey()];
const shopEu = "shop-eu";

const policy = (requestMs: number): TrafficPolicy => ({ apiVersion, kind: "TrafficPolicy", metadata: { namespace: "web", name: "catalog" }, spec: { targetRef: { namespace: "web", name: "catalog" }, timeouts: { requestMs } } });
const service = (name: string): Service => ({ apiVersion, kind: "Service", metadata: { namespace: "web", name }, spec: { ports: [{ name: "http", port: 80, protocol: "http" }], serviceAccounts: [name] } });

describe.each([
  { engines: false, kind: "embedded stores" },
  { engines: true, kind: "etcd, nats-server" },
])("backups and restores of planes' stores ($kind)", ({ engines }) => {
  /** Undefined only where it could not be brought up; then no test runs. */
  let federation: TestFederation;

  beforeAll(async () => {
    if (engines && !hasEngines) return;
    federation = await TestFederation.start({ ...oneCluster, backups: { recipients: [key.recipient], everySeconds: 60, keep: 2 } }, { engines });
    await federation.addCaller("probe", { cluster: shopEu, region: "eu-west", namespace: "web", serviceAccount: "probe" });
    await eventually("the catalog answers", async () => (await traffic()) === 200);
  }, 240_000);
  afterAll(async () => {
    await (federation as TestFederation | undefined)?.[Symbol.asyncDispose]();
  }, 60_000);

  const file = (name: string): string => join(federation.place.directory, name);
  const traffic = async (): Promise<number> => (await federation.callThrough("probe", "catalog.web", "/")).status;
  const atoll = (...args: readonly string[]) => federation.place.atoll(...args);
  const done = async (...args: readonly string[]): Promise<string> => {
    const { code, stdout, stderr } = await atoll(...args);
    expect([code, stderr], args.join(" ")).toEqual([0, expect.not.stringContaining("error")]);
    return stdout;
  };
  const heldBy = async (plane: string): Promise<number | undefined> => {
    const client = plane === "global" ? federation.planes.global() : federation.planes.cluster(plane);
    return (await client.get("TrafficPolicy", { namespace: "web", name: "catalog" }, signal)).spec.timeouts?.requestMs;
  };
  const applied = async (requestMs: number): Promise<void> => {
    await eventually("the policy is written", async () => (await federation.planes.global().apply(policy(requestMs), {}, signal), true));
    await eventually("the cluster has it", async () => (await heldBy(shopEu)) === requestMs);
  };
  const backupsOf = (process: string): readonly string[] => {
    const directory = join(federation.directoryOf(process), "backups");
    return existsSync(directory) ? readdirSync(directory).toSorted().map((name) => join(directory, name)) : [];
  };
  const services = async (): Promise<readonly string[]> => (await federation.planes.cluster(shopEu).list("Service", {}, signal)).map(({ metadata }) => metadata.name);
  const allIsWell = (): Promise<unknown> => eventually("all is well", async () => (await atoll("check")).code === 0, 60_000);

  it.skipIf(engines && !hasEngines)("of the global plane: nothing is published from it until somebody has decided, and what was acknowledged since is read back", async () => {
    await applied(1_000);
    expect(await done("backup", "global", "--to", file("global.atoll-backup"))).toMatch(/as of epoch \d+, revision \d+; .*, not encrypted/);
    expect(statSync(file("global.atoll-backup")).mode & 0o777).toBe(0o600);
    await applied(2_000);
    const { pid } = await federation.view("global");

    const good = readFileSync(file("global.atoll-backup"));
    writeFileSync(file("damaged"), good.with(good.length - 40, 1 ^ (good.at(-40) ?? 0)));
    await done("backup", shopEu, "--to", file("another"));
    for (const [from, code] of [["damaged", "ATOLL_BACKUP_INVALID"], ["another", "ATOLL_RESTORE_REFUSED"], ["missing", "ATOLL_BACKUP_INVALID"]] as const) {
      const refused = await atoll("restore", "global", "--from", file(from));
      expect([refused.code, refused.stderr]).toEqual([1, expect.stringContaining(`error ${code}: `)]);
    }
    expect((await federation.view("global")).pid).toBe(pid);

    expect(await done("restore", "global", "--from", file("global.atoll-backup"))).toMatch(/Nothing is written or published from it until you decide: `atoll .*reconcile global`/);
    expect(readdirSync(federation.directoryOf("global")).filter((name) => name.startsWith("replaced-"))).toHaveLength(1);
    await eventually("`atoll check` asks", async () => (await atoll("check")).stdout.includes("`atoll reconcile global`"));
    expect([await heldBy("global"), await heldBy(shopEu), await traffic()]).toEqual([1_000, 2_000, 200]);
    await expect(federation.planes.global().apply(policy(3_000), {}, signal)).rejects.toMatchObject({ code: "ATOLL_STORE_BEHIND" });
    expect((await atoll("backup", "global", "--to", file("undecided"))).stderr).toContain("ATOLL_STORE_BEHIND");

    expect(await done("reconcile", "global", "--take-newer")).toMatch(/^taken +global\/TrafficPolicy\/web\/catalog$/m);
    await allIsWell();
    expect(await heldBy("global")).toBe(2_000);
    await applied(4_000);
  });

  it.skipIf(engines && !hasEngines)("of a cluster, encrypted, after the loss of its store: it goes on with what the backup holds, and its instances are back", async () => {
    const passphraseFile = file("passphrase");
    writeFileSync(passphraseFile, "a passphrase of these tests\n", { mode: 0o600 });
    await federation.planes.cluster(shopEu).apply(service("then"), {}, signal);
    expect(await done("backup", shopEu, "--to", file("shop-eu.atoll-backup"), "--passphrase-file", passphraseFile)).toMatch(/, encrypted\.$/m);
    await federation.planes.cluster(shopEu).apply(service("since"), {}, signal);
    if (!engines) {
      await federation.kill("shop-eu-plane");
      const directory = federation.directoryOf("shop-eu-plane");
      for (const name of readdirSync(directory).filter((one) => one.startsWith("store.sqlite"))) rmSync(join(directory, name));
      await federation.start("shop-eu-plane");
    }
    const refused = await atoll("restore", shopEu, "--from", file("shop-eu.atoll-backup"));
    expect([refused.code, refused.stderr]).toEqual([1, expect.stringContaining("no passphrase was given")]);
    await done("restore", shopEu, "--from", file("shop-eu.atoll-backup"), "--passphrase-file", passphraseFile);
    await eventually("`atoll check` asks", async () => (await atoll("check")).stdout.includes(`\`atoll reconcile ${shopEu}\``));
    expect(await traffic()).toBe(200);
    await done("reconcile", shopEu, "--keep");
    await eventually("it has the service of then, and not the one since", async () => JSON.stringify(await services()) === JSON.stringify(["catalog", "then"]));
    await allIsWell();
    await eventually("the catalog's instance is registered again", async () => (await atoll("status")).stdout.match(/web\/catalog .*shop-eu 1\/1/) !== null, 60_000);
    expect(await traffic()).toBe(200);
    await applied(5_000);
  });

  it.skipIf(engines && !hasEngines)("that a plane has made by itself are for the owner of a key alone, and are restored like others", async () => {
    for (const [plane, process] of [["global", "global"], [shopEu, "shop-eu-plane"]] as const) {
      await eventually(`there is one of ${plane}`, async () => backupsOf(process).some((name) => /-\d{8}T\d{6}Z\.atoll-backup$/.test(name)));
      expect((await atoll("status")).stdout).toMatch(new RegExp(`^${plane} +.* ago +60 s +\\d+ +${join(federation.directoryOf(process), "backups")}$`, "m"));
    }
    for (const [name, { privateKeyPem }] of [["key", key], ["stranger", stranger]] as const) writeFileSync(file(name), privateKeyPem, { mode: 0o600 });
    // Taken before: the next one may be made at any moment.
    const newest = backupsOf("shop-eu-plane").at(-1) ?? "";
    await federation.planes.cluster(shopEu).apply(service("unsaved"), {}, signal);
    const good = readFileSync(newest);
    const { pid } = await federation.view("shop-eu-plane");
    writeFileSync(file("cut-off"), good.subarray(0, -10));
    writeFileSync(file("open-key"), key.privateKeyPem, { mode: 0o644 });
    for (const [from, args, message] of [
      [newest, [], "ATOLL_BACKUP_INVALID: the backup cannot be used: it is encrypted for the owner of a key, and no key was given: --key-file"],
      [newest, ["--key-file", file("stranger")], "ATOLL_BACKUP_INVALID: the backup cannot be used: it was encrypted for another key, or is damaged"],
      [file("cut-off"), ["--key-file", file("key")], "ATOLL_BACKUP_INVALID: the backup cannot be used: it is damaged or cut off"],
      [newest, ["--key-file", file("open-key")], `ATOLL_KEY_FILE_INVALID: the key file ${file("open-key")} cannot be used: others than its owner may use it`],
    ] as const) {
      const refused = await atoll("restore", shopEu, "--from", from, ...args);
      expect([refused.code, refused.stderr]).toEqual([1, expect.stringContaining(message)]);
    }
    expect([(await federation.view("shop-eu-plane")).pid, (await services()).includes("unsaved")]).toEqual([pid, true]);

    await done("restore", shopEu, "--from", newest, "--key-file", file("key"));
    await eventually("`atoll check` asks", async () => (await atoll("check")).stdout.includes(`\`atoll reconcile ${shopEu}\``));
    expect(await traffic()).toBe(200);
    const aside = readdirSync(federation.directoryOf("shop-eu-plane")).filter((name) => name.startsWith("replaced-")).toSorted().at(-1) ?? "";
    expect(readFileSync(join(federation.directoryOf("shop-eu-plane"), aside)).subarray(0, 60).toString()).toContain('"version":2');
    await done("reconcile", shopEu, "--keep");
    await allIsWell();
    expect(await services()).not.toContain("unsaved");
  });

  it.skipIf(engines && !hasEngines)("that cannot be made are a line of the check, with what to do, and a metric, until they are made again", async () => {
    const directory = join(federation.directoryOf("global"), "backups");
    const { listen } = JSON.parse(readFileSync(join(federation.directoryOf("global"), "config.json"), "utf8")) as { readonly listen: { readonly metricsPort: number } };
    const metric = async (): Promise<boolean> => (await (await fetch(`http://127.0.0.1:${listen.metricsPort}/metrics`)).text()).includes('atoll_backup_failing{plane="global"} 1');
    await federation.kill("global");
    renameSync(directory, `${directory}-aside`);
    writeFileSync(directory, "in its place");
    await federation.start("global");
    await eventually("`atoll check` says so", async () => (await atoll("check")).stdout.includes(`no backup of the store of global can be made in ${directory}: ENOTDIR`));
    expect((await atoll("check")).stdout).toContain("it has to be a directory that the plane's user may write to; there is none yet, and it is tried again each minute");
    expect(await metric()).toBe(true);
    await federation.kill("global");
    rmSync(directory);
    renameSync(`${directory}-aside`, directory);
    await federation.start("global");
    await allIsWell();
    expect(await metric()).toBe(false);
  });

  it.skipIf(engines && !hasEngines)("hold no private key and no token", async () => {
    await federation.workloadToken(shopEu, "web", "somebody");
    for (const plane of ["global", shopEu]) {
      await done("backup", plane, "--to", file(`${plane}-looked-at`));
      const content = readFileSync(file(`${plane}-looked-at`));
      const { gunzipSync } = await import("node:zlib");
      const held = gunzipSync(content.subarray(content.indexOf("\n") + 1, -32)).toString("latin1");
      expect(held).toContain("/atoll/v1/");
      expect(held).not.toMatch(/PRIVATE KEY|\/atoll\/v1\/(join|provisioning)-/);
    }
  });
});
