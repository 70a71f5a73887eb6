import { execFile } from "node:child_process";
import { X509Certificate } from "node:crypto";
import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { AccessConfig } from "#federation/admin-api/access-config.ts";
import { openAuditFile, type AuditFile } from "#federation/admin-api/audit-file.ts";
import { parseAdminContext, type AdminContext } from "#federation/admin-api/admin-context.ts";
import { AdminClient } from "#federation/admin-api/client.ts";
import { createPlaneAccess } from "#federation/admin-api/plane-access.ts";
import { clusterRoutes, globalRoutes } from "#federation/admin-api/plane-routes.ts";
import { MemoryHub } from "#federation/bus/memory-bus.ts";
import { keys } from "#federation/catalog/keys.ts";
import { recordCodecs } from "#federation/catalog/record-codecs.ts";
import { rememberedFiles } from "#federation/history/store-life.ts";
import { createAttestation } from "#federation/identity/attest/create-attestation.ts";
import { JoinGuard } from "#federation/identity/join-guard.ts";
import { openVoucher } from "#federation/identity/join-voucher.ts";
import { parseChainPem } from "#federation/identity/pem.ts";
import { createJwtVerifier } from "#federation/identity/jwt-verify.ts";
import type { ClusterId, TrustDomainName } from "#federation/model/names.ts";
import type { JoinPurpose } from "#federation/model/join-purpose.ts";
import { createSpiffeId } from "#federation/model/spiffe-id.ts";
import { runTasks } from "#federation/runtime/lifecycle.ts";
import { systemClock } from "#federation/runtime/clock.ts";
import { createDnsLookup, type NameLookup } from "#federation/runtime/dns/name-lookup.ts";
import { writePrivateFileSync } from "#federation/runtime/private-file.ts";
import { systemRandom } from "#federation/runtime/random.ts";
import { WatchedValue } from "#federation/runtime/watched.ts";
import { runAsLeader, type LeaderTask } from "#federation/store/leader.ts";
import { ExchangedStore, type StoreCopy } from "#federation/store/exchanged-store-fixture.ts";
import { openSqliteStore } from "#federation/store/sqlite-store.ts";
import type { Store } from "#federation/store/store.ts";
import { silentLogger } from "#federation/telemetry/logger.ts";
import { ClusterKeySource } from "#services/cluster/credentials/cluster-credentials.ts";
import { remoteCertify } from "#services/cluster/credentials/enrolment.ts";
import { JwtKeys } from "#services/cluster/credentials/jwt-keys.ts";
import { joinFederation, loadMembership } from "#services/cluster/credentials/plane-membership.ts";
import { closedRoles } from "#services/cluster/credentials/key-roles.ts";
import { SignerRole } from "#services/cluster/credentials/signer-role.ts";
import { runClusterPlane } from "#services/cluster/cluster-plane.ts";
import { JoinPort } from "#services/cluster/join-port.ts";
import { createClusterMetrics } from "#services/cluster/metrics.ts";
import { serveCluster } from "#services/cluster/serve-cluster.ts";
import { FederationKeys, initFederation } from "#services/global/federation-keys.ts";
import { renewIssuing } from "#services/global/issuing-renewal.ts";
import { leadFederation } from "#services/global/global-plane.ts";
import { createGlobalMetrics } from "#services/global/metrics.ts";
import { serveFederation } from "#services/global/serve-federation.ts";
import { eventually } from "./eventually.ts";
import { clusterConfig, globalConfig } from "./plane-configs.ts";
import { UnheardStore } from "./unheard-store.ts";

const cliMain = fileURLToPath(new URL("../../services/cli/main.ts", import.meta.url));

const never = new AbortController().signal;
const leaderKey = "/leader";
const address = "127.0.0.1";
const nobodyAttested = { sources: {}, rules: [] };
const federation = "demo.atoll" as TrustDomainName;

/** One running plane; stopping it leaves its store and its directory for the next start. */
export interface RunningPlane {
  readonly ports: Readonly<Record<string, number>>;
  readonly metrics: () => Promise<string>;
  stop(): Promise<void>;
}

interface Kept {
  readonly dataDir: string;
  readonly store: ExchangedStore;
  /** The same as the plane works with it. */
  readonly heard: UnheardStore;
  readonly audit: AuditFile;
}

/**
 * A federation's control planes in this process: real listeners and certificates, stores in memory and a bus in memory
 * that outlive the planes, so that a plane can be stopped and started again.
 */
export class InProcessPlanes implements AsyncDisposable {
  readonly hub = new MemoryHub(systemClock);
  readonly #lookup: NameLookup;
  readonly #stores: "memory" | "files";
  readonly #directory = mkdtempSync(join(tmpdir(), "atoll-planes-"));
  readonly #kept = new Map<string, Kept>();
  readonly #running = new Map<string, RunningPlane>();
  /** By name, how each plane was started last. */
  readonly #starts = new Map<string, () => Promise<RunningPlane>>();

  private constructor(lookup: NameLookup, stores: "memory" | "files") {
    this.#lookup = lookup;
    this.#stores = stores;
  }

  /** Makes the federation's keys, as if `ageMs` ago. `lookup` is how planes look names up; with stores in files a plane's directory is all that there is of it. */
  static async create(lookup: NameLookup = createDnsLookup(), { stores = "memory", ageMs = 0 }: { readonly stores?: "memory" | "files"; readonly ageMs?: number } = {}): Promise<InProcessPlanes> {
    const planes = new InProcessPlanes(lookup, stores);
    const { dataDir } = await planes.#keep("global");
    initFederation(dataDir, federation, systemClock.nowMs() - ageMs);
    return planes;
  }

  /** `place`: the name of the directory; another than the plane's for one that was copied. */
  async startGlobal(access: AccessConfig = { bindings: [] }, place = "global"): Promise<RunningPlane> {
    this.#starts.set(place, () => this.startGlobal(access, place));
    const { dataDir, heard: store, audit } = await this.#keep(place);
    const metrics = createGlobalMetrics(systemClock);
    const config = globalConfig(federation, dataDir, access);
    const options = { config, keys: FederationKeys.load(dataDir), store, bus: this.hub.open("global"), metrics, joinGuard: new JoinGuard(systemClock), access: createPlaneAccess(access, (tokens) => createJwtVerifier(tokens, systemClock)), attestation: createAttestation(nobodyAttested, systemClock), audit, lookup: this.#lookup, ...common };
    return await this.#run(place, (term, signal) => leadFederation(options, (parts, inner) => serveFederation(options, parts, inner), term, signal), () => metrics.registry.metrics());
  }

  /** Joins first where it has not. `signer`: this plane holds its trust domain's keys; otherwise it enrols with the plane named. */
  async startCluster(
    cluster: string,
    role: { readonly signer: TrustDomainName } | { readonly enrolsAt: string },
    access: AccessConfig = { bindings: [] },
    place = cluster,
  ): Promise<RunningPlane> {
    this.#starts.set(place, () => this.startCluster(cluster, role, access, place));
    const { dataDir, heard: store, audit } = await this.#keep(place);
    const signer = "signer" in role ? SignerRole.open({ trustDomain: role.signer, dataDir, ...common }) : undefined;
    const membership =
      (await loadMembership(dataDir)) ??
      (await joinFederation(
        { dataDir, cluster, source: { tokenFile: this.#write(cluster, "token", await this.globalToken(cluster)) }, statement: signer?.statement(), clock: systemClock },
        never,
      ));
    const enrolmentFile = join(dataDir, "enrolment");
    if ("enrolsAt" in role && !existsSync(join(dataDir, "ca"))) {
      this.#write(cluster, "enrolment", await this.clusterToken(role.enrolsAt, { kind: "enrolment", cluster: cluster as ClusterId }));
    }
    const certify =
      signer === undefined
        ? remoteCertify({ cluster, openVoucher: () => openVoucher({ tokenFile: enrolmentFile }), federationBundle: membership.federationBundle, clock: systemClock })
        : async (csrs: { readonly intermediate: Uint8Array; readonly signing: Uint8Array }) => signer.current().certify(cluster, csrs.intermediate, csrs.signing, systemClock.nowMs());
    const own = signer === undefined ? ({ kind: "remote", tokenFile: enrolmentFile } as const) : ({ kind: "own", trustDomain: signer.trustDomain } as const);
    const config = clusterConfig({ cluster: cluster as ClusterId, dataDir, signer: own }, access);
    const keySource = await ClusterKeySource.open({ dataDir, trustDomain: membership.facts.trustDomain, certify, svidMs: config.svidSeconds * 1_000, ...common }, never);
    const jwtKeys = JwtKeys.open({ dataDir, ...common });
    const metrics = createClusterMetrics(cluster, systemClock, { planeCertificateMs: () => membership.svid.notAfterMs, intermediateMs: () => keySource.keys.current.issuer?.notAfterMs ?? 0, jwtKeySinceMs: () => jwtKeys.sinceMs, closedRoles: () => closedRoles({ signer, keySource }) });
    const planeSvid = new WatchedValue(membership.svid);
    const joinPort = await JoinPort.open({ config, membership, planeSvid, keys: keySource.keys, metrics, ...common }, never);
    const options = { config, membership, planeSvid, keySource, jwtKeys, signer, store, bus: this.hub.open(cluster), metrics, joinPort, joinGuard: new JoinGuard(systemClock), access: createPlaneAccess(access, (tokens) => createJwtVerifier(tokens, systemClock)), attestation: createAttestation(nobodyAttested, systemClock), audit, lookup: this.#lookup, ...common };
    const lead: LeaderTask = async (term, signal) => {
      const plane = (inner: AbortSignal) => runClusterPlane(options, (serving, deeper) => serveCluster(options, serving, deeper), term, inner);
      await runTasks([plane, (inner) => keySource.run(inner), ...(signer === undefined ? [] : [(inner: AbortSignal) => signer.run(inner)])], signal);
    };
    return await this.#run(place, lead, () => metrics.registry.metrics(), joinPort);
  }

  /** Takes the leadership from a running plane, which may campaign again at once; resolves when it serves again. */
  async loseLeadership(name: string): Promise<void> {
    const { dataDir, store } = await this.#keep(name);
    rmSync(join(dataDir, "ready.json"), { force: true });
    await store.commit({ conditions: [], writes: [{ kind: "delete", key: leaderKey }] }, never);
    await eventually(`the plane of ${name} serves again`, () => this.#readPorts(name));
  }

  /** Copies the directory of a plane that is stopped, and that was created with stores in files. */
  async copyDirectory(name: string, place: string): Promise<void> {
    const { dataDir, store, audit } = await this.#keep(name);
    await store[Symbol.asyncDispose]();
    await audit[Symbol.asyncDispose]();
    this.#kept.delete(name);
    cpSync(dataDir, this.#dataDir(place), { recursive: true });
  }

  /** What a store holds; its leadership, which is of a moment, is left out. */
  async copyStore(name: string): Promise<StoreCopy> {
    return await (await this.#keep(name)).store.copy(leaderKey);
  }

  /** Whether the store of a running plane takes writes. */
  async setWritable(name: string, isWritable: boolean): Promise<void> {
    (await this.#keep(name)).heard.isWritable = isWritable;
  }

  /** Whether the store of a plane lists what it holds and tells what is written; it answers for each key either way. */
  async setHeard(name: string, isHeard: boolean): Promise<void> {
    (await this.#keep(name)).heard.isHeard = isHeard;
  }

  /** Resolves when a running plane has marked its store after its last write there, and knows that it has: another history is told from its own from then on, wherever its positions are. */
  async witnessed(name: string): Promise<void> {
    const { dataDir, store } = await this.#keep(name);
    const { entries: trails } = await store.list(keys.trails, never);
    const lastWrite = Math.max(...trails.map(({ revision }) => revision));
    await eventually(`the plane of ${name} has witnessed its store`, async () => {
      const { entries } = await store.list(keys.marks, never);
      const marks = entries.filter(({ revision }) => revision > lastWrite).map(({ key, value, revision }) => recordCodecs.mark.decode(value, key, revision).mark);
      const witness = JSON.parse(readFileSync(join(dataDir, "witness.json"), "utf8")) as { readonly marks: readonly string[] };
      return marks.length === 1 && witness.marks.length === 1 && witness.marks[0] === marks[0];
    });
  }

  /** Puts another store in the place of a running plane's, with what `copy` holds; resolves when the plane answers over it. */
  async putBack(name: string, copy: StoreCopy): Promise<void> {
    const { dataDir, store } = await this.#keep(name);
    rmSync(join(dataDir, "ready.json"), { force: true });
    await store.putBack(copy, await openMemoryStore());
    await eventually(`the plane of ${name} answers again`, () => this.#readPorts(name));
  }

  /** Starts a running plane anew over a store with what `copy` holds, and without its memory of the one before: a plane that runs writes down what it has seen. */
  async remake(name: string, copy: StoreCopy): Promise<RunningPlane> {
    const { dataDir, store } = await this.#keep(name);
    await this.#running.get(name)?.stop();
    // One that is made anew is told from the one before by the second in which it begins.
    const second = secondNow();
    await eventually("the next second has begun", () => secondNow() > second);
    for (const file of rememberedFiles) rmSync(join(dataDir, file));
    await store.putBack(copy, await openMemoryStore());
    const start = this.#starts.get(name);
    if (start === undefined) throw new Error(`the plane of ${name} was never started`);
    return await start();
  }

  /** An administrator's client of the global plane, or of a cluster's. */
  admin(cluster?: string): AdminClient {
    return this.client(this.#adminContext("global"), cluster);
  }

  /** One of what runs in a copied directory: of the global plane, or of a cluster's. */
  adminOfCopy(place: string, cluster?: string): AdminClient {
    return cluster === undefined ? this.client(this.#adminContext(place)) : this.client(this.#adminContext("global"), cluster, place);
  }

  /** What an administrator's client does at the global plane, or at a cluster's. */
  async at<T>(cluster: string | undefined, act: (admin: AdminClient) => Promise<T>): Promise<T> {
    using admin = this.admin(cluster);
    return await act(admin);
  }

  /** Runs `atoll` over the context file `context`. Not synchronous: the planes that it asks are in this process. */
  async atoll(context: string, ...args: readonly string[]): Promise<{ readonly code: number; readonly out: string; readonly err: string }> {
    return await new Promise((resolve) => {
      execFile(process.execPath, [cliMain, ...args, "--context", context], { env: { ...process.env, NO_COLOR: "1" } }, (error, out, err) => resolve({ code: error === null ? 0 : Number(error.code), out, err }));
    });
  }

  /** Writes what `atoll --context` and the Terraform provider read; the signers by trust domain. Answers its path. */
  writePlaneFile(clusters: readonly string[], signers: Readonly<Record<string, string>>): string {
    const path = join(this.#directory, "context.json");
    const planes = Object.fromEntries(clusters.map((name) => [name, `${address}:${this.#readPorts(name)?.["admin"] ?? 0}`]));
    writeFileSync(path, JSON.stringify({ admin: join(this.#dataDir("global"), "admin-context.json"), planes, signers }));
    return path;
  }

  /** A client by a named machine client's certificate, as `init --client` makes it. */
  machine(name: string, cluster?: string): AdminClient {
    return this.client(this.machineContext(name), cluster);
  }

  /** The context of such a client, with a certificate that is made for it now. */
  machineContext(name: string): AdminContext {
    const keys = FederationKeys.load(this.#dataDir("global"));
    return parseAdminContext(readFileSync(keys.writeClientContext(name, systemClock.nowMs()), "utf8"));
  }

  /** Makes another certificate for what the federation issues by, whatever age the present one has. */
  renewIssuing(): void {
    renewIssuing({ dataDir: this.#dataDir("global"), isForced: true, nowMs: systemClock.nowMs() });
  }

  /** The path of a file in a plane's directory. */
  fileOf(name: string, ...path: readonly string[]): string {
    return join(this.#dataDir(name), ...path);
  }

  /** What a cluster's plane proves itself by: its certificate, then what that was issued by. */
  async planeChain(cluster: string): Promise<readonly X509Certificate[]> {
    const membership = await loadMembership(this.#dataDir(cluster));
    return parseChainPem(membership?.svid.certificateChainPem ?? "").map((der) => new X509Certificate(der));
  }

  /** A client by a token in `tokenFile`. */
  bearer(tokenFile: string, cluster?: string): AdminClient {
    const { server, federation: name, caPem } = this.#adminContext("global");
    return this.client({ server, federation: name, caPem, tokenFile }, cluster);
  }

  client(context: AdminContext, cluster?: string, place = cluster): AdminClient {
    if (cluster === undefined || place === undefined) return new AdminClient({ context });
    const { admin = 0 } = this.#readPorts(place) ?? {};
    return new AdminClient({ context, server: `${address}:${admin}`, serverId: createSpiffeId(federation, "atoll", "plane", "cluster", cluster) });
  }

  async globalToken(cluster: string): Promise<string> {
    using admin = this.admin();
    return (await admin.call(globalRoutes.createJoinToken, { body: { purpose: { kind: "cluster", cluster: cluster as ClusterId } } }, never)).body.token;
  }

  async clusterToken(cluster: string, purpose: JoinPurpose): Promise<string> {
    using admin = this.admin(cluster);
    return (await admin.call(clusterRoutes.createJoinToken, { body: { purpose } }, never)).body.token;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.#running.values()].map((plane) => plane.stop()));
    for (const { store, audit } of this.#kept.values()) {
      await store[Symbol.asyncDispose]();
      await audit[Symbol.asyncDispose]();
    }
    rmSync(this.#directory, { recursive: true, force: true });
  }

  async #run(name: string, task: LeaderTask, metrics: () => Promise<string>, port?: AsyncDisposable): Promise<RunningPlane> {
    const { dataDir, store } = await this.#keep(name);
    rmSync(join(dataDir, "ready.json"), { force: true });
    const stop = new AbortController();
    let failure: { readonly error: unknown } | undefined;
    const done = runAsLeader(store, { key: leaderKey, id: name, ...common }, task, stop.signal).catch((error: unknown) => {
      failure = { error };
    });
    const ports = await eventually(`the plane of ${name} serves`, () => {
      if (failure !== undefined) return {};
      return this.#readPorts(name);
    });
    if (failure !== undefined) throw failure.error;
    const running: RunningPlane = {
      ports,
      metrics,
      stop: async () => {
        this.#running.delete(name);
        stop.abort();
        await done;
        await port?.[Symbol.asyncDispose]();
        if (failure !== undefined) throw failure.error;
      },
    };
    this.#running.set(name, running);
    return running;
  }

  #readPorts(name: string): Readonly<Record<string, number>> | undefined {
    try {
      const { ports } = JSON.parse(readFileSync(join(this.#dataDir(name), "ready.json"), "utf8")) as { readonly ports: Readonly<Record<string, number>> };
      return ports;
    } catch {
      // Not written yet.
      return undefined;
    }
  }

  async #keep(name: string): Promise<Kept> {
    let kept = this.#kept.get(name);
    if (kept === undefined) {
      const dataDir = this.#dataDir(name);
      const store = new ExchangedStore(this.#stores === "memory" ? await openMemoryStore() : await openSqliteStore({ path: join(dataDir, "store.db"), clock: systemClock, logger: silentLogger }));
      kept = {
        dataDir,
        store,
        heard: new UnheardStore(store),
        audit: await openAuditFile({
          path: join(dataDir, "audit", "audit.jsonl"),
          onFailure: (error) => {
            throw error;
          },
        }),
      };
      this.#kept.set(name, kept);
    }
    return kept;
  }

  #adminContext(place: string): AdminContext {
    return parseAdminContext(readFileSync(join(this.#dataDir(place), "admin-context.json"), "utf8"));
  }

  #dataDir(name: string): string {
    return join(this.#directory, name);
  }

  #write(plane: string, file: string, text: string): string {
    const path = join(this.#dataDir(plane), file);
    writePrivateFileSync(path, text);
    return path;
  }
}

async function openMemoryStore(): Promise<Store> {
  return await openSqliteStore({ path: ":memory:", clock: systemClock, logger: silentLogger });
}

const common = { clock: systemClock, random: systemRandom, logger: silentLogger };

/** Of the wall clock. */
function secondNow(): number {
  return Math.floor(systemClock.nowMs() / 1_000);
}
