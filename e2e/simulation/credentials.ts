import { existsSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TrustDomainName } from "#federation/model/names.ts";
import { createSeededRandom } from "#federation/runtime/random.ts";
import { VirtualClock } from "#federation/runtime/virtual-clock.ts";
import { WatchedValue } from "#federation/runtime/watched.ts";
import { silentLogger } from "#federation/telemetry/logger.ts";
import { ClusterKeySource } from "#services/cluster/credentials/cluster-credentials.ts";
import type { ClusterKeys } from "#services/cluster/credentials/cluster-keys.ts";
import { TrustDomainSigner } from "#services/cluster/credentials/signer.ts";
import { FederationKeys, initFederation } from "#services/global/federation-keys.ts";
import type { GlobalKeys } from "#services/global/global-plane.ts";
import { clusters, federationName } from "./cast.ts";

/** The keys of a simulated federation: real ones, made once for all seeds. */
export interface Credentials {
  readonly global: GlobalKeys;
  readonly rootPem: string;
  readonly signers: ReadonlyMap<TrustDomainName, TrustDomainSigner>;
  readonly clusterKeys: ReadonlyMap<string, ClusterKeys>;
}

let made: Promise<Credentials> | undefined;

/** Of this process. */
export function credentials(): Promise<Credentials> {
  made ??= make();
  return made;
}

/** A directory that costs no disk where there is one in memory. */
export function makeDirectory(prefix: string): string {
  const base = existsSync("/dev/shm") ? "/dev/shm" : tmpdir();
  return mkdtempSync(join(base, prefix));
}

async function make(): Promise<Credentials> {
  const directory = makeDirectory("atoll-simulated-keys-");
  try {
    return await makeIn(directory);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

async function makeIn(directory: string): Promise<Credentials> {
  const clock = new VirtualClock();
  const globalDirectory = join(directory, "global");
  mkdirSync(globalDirectory);
  initFederation(globalDirectory, federationName, clock.nowMs());
  const keys = FederationKeys.load(globalDirectory);
  const signers = new Map(clusters.filter(({ isSigner }) => isSigner).map(({ name, trustDomain }) => [trustDomain, TrustDomainSigner.open(trustDomain, join(directory, name), clock.nowMs())] as const));
  const clusterKeys = new Map<string, ClusterKeys>();
  for (const { name, trustDomain } of clusters) {
    const signer = signers.get(trustDomain);
    if (signer === undefined) throw new Error(`nobody signs for ${trustDomain}`);
    const certify = (csrs: { readonly intermediate: Uint8Array; readonly signing: Uint8Array }) => Promise.resolve(signer.certify(name, csrs.intermediate, csrs.signing, clock.nowMs()));
    const options = { dataDir: join(directory, name), trustDomain, certify, svidMs: 3_600_000, clock, random: createSeededRandom(1), logger: silentLogger };
    clusterKeys.set(name, (await ClusterKeySource.open(options, new AbortController().signal)).keys.current);
  }
  // A certificate and a signing key for each start would cost more than all else that a seed does.
  const svid = keys.issuePlane("127.0.0.1", clock.nowMs());
  const objectSigner = keys.issueSigner(clock.nowMs());
  const global = { trustDomain: keys.trustDomain, authorityPem: keys.authorityPem, bundle: keys.bundle, issuePlane: () => svid, issueSigner: () => objectSigner };
  return { global, rootPem: keys.rootPem, signers, clusterKeys };
}

/** As a plane holds them; roots stay what they are. */
export function keysOf(credentialsMade: Credentials, cluster: string): { readonly keys: WatchedValue<ClusterKeys>; readonly takeBundle: () => void } {
  const keys = credentialsMade.clusterKeys.get(cluster);
  if (keys === undefined) throw new Error(`${cluster} has no keys`);
  return { keys: new WatchedValue(keys), takeBundle: () => undefined };
}

/** Its files are whole. */
export function signerOf({ signers }: Credentials, trustDomain: TrustDomainName): { readonly whenOpen: () => Promise<TrustDomainSigner> } {
  const signer = signers.get(trustDomain);
  if (signer === undefined) throw new Error(`nobody signs for ${trustDomain}`);
  return { whenOpen: () => Promise.resolve(signer) };
}
