import { X509Certificate } from "node:crypto";
import { join } from "node:path";
import { parseBundle } from "#federation/identity/bundle-jwks.ts";
import { createCsr } from "#federation/identity/csr.ts";
import { forgetJoiningKey, keepJoiningKey } from "#federation/identity/joining-key.ts";
import { createKeyPair } from "#federation/identity/key-pair.ts";
import { chainPem } from "#federation/identity/pem.ts";
import type { TrustDomainName } from "#federation/model/names.ts";
import type { TrustDomainSpec } from "#federation/model/resource.ts";
import type { TrustBundle } from "#federation/model/trust-bundle.ts";
import { sleep, type Clock } from "#federation/runtime/clock.ts";
import { AtollError, describeError, isAtollError } from "#federation/runtime/errors.ts";
import { writePrivateFileSync } from "#federation/runtime/private-file.ts";
import { jittered, type Random } from "#federation/runtime/random.ts";
import { sleepUntil } from "#federation/runtime/sleep-until.ts";
import { WatchedValue, type Watched } from "#federation/runtime/watched.ts";
import type { Logger } from "#federation/telemetry/logger.ts";
import type { ObjectSigner } from "#federation/wire/signed-object.ts";
import type { ClusterCredentials } from "#federation/wire/signer-messages.ts";
import { ownIntermediatesFile, ownIntermediatesMax, readClusterKeys, type ClusterKeys } from "./cluster-keys.ts";
import { writeCredentials } from "./credential-files.ts";
import { issuedLivesFile, noteLife, readIssuedLives, withIntermediate } from "./issued-lives.ts";
import { isOfIssuingRoot, newerBundle, ownBundleAfter } from "./own-bundle.ts";

/** Gets credentials for two new public keys; `current` proves a renewal, undefined is the first time. */
export type Certify = (csrs: { readonly intermediate: Uint8Array; readonly signing: Uint8Array }, current: ObjectSigner | undefined, signal: AbortSignal) => Promise<ClusterCredentials>;

export interface ClusterCredentialsOptions {
  readonly dataDir: string;
  readonly trustDomain: TrustDomainName;
  readonly certify: Certify;
  /**
   * For a plane that enrols with another: `lasting` where evidence is what it enrols by, to which it stays the same instance for ever.
   * The key of the intermediate lies on disk before the first try and stays the same over tries and restarts.
   */
  readonly joiningKey?: "until enrolled" | "lasting";
  /** How long what is issued by the intermediate lives, in ms. */
  readonly svidMs: number;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  /** Hears of each failed renewal, while it runs. */
  readonly onFailure?: () => void;
}

/** Tried again after a failed renewal; there is a week for it. */
const retryMs = 60_000;

/** Between tries to enrol for the first time. */
const firstRetryMs = 2_000;

/** While a role is closed, files are looked at and the signer is asked so often: refusals of one address are counted there. */
const closedRetryMs = 30_000;

/**
 * The cluster's intermediate and signing key: read from disk, or enrolled for at the first start, and renewed at half of
 * the intermediate's life, or once the trust domain issues by another root. Without the signer the present ones go on for the other half.
 * Where the files of one are damaged and the signer gives no other, its role is closed and the plane begins all the same.
 */
export class ClusterKeySource {
  readonly #options: ClusterCredentialsOptions;
  readonly #keys: WatchedValue<ClusterKeys>;

  private constructor(options: ClusterCredentialsOptions, keys: ClusterKeys) {
    this.#options = options;
    this.#keys = new WatchedValue(keys);
  }

  static async open(options: ClusterCredentialsOptions, signal: AbortSignal): Promise<ClusterKeySource> {
    const { keys, signer, damaged } = readClusterKeys(directoryOf(options), options.trustDomain, options.clock.nowMs());
    for (const reason of damaged) options.logger.warn("A file of the cluster's credentials cannot be used; they are asked for again.", { reason });
    if (keys === undefined) return new ClusterKeySource(options, await obtainFirst(options, signer, signal));
    const source = new ClusterKeySource(options, keys);
    if (keys.closed.length > 0) await source.#reopen(signal);
    if (source.#keys.current.issuer !== undefined) noteLife(directoryOf(options), source.#keys.current.issuer, options.svidMs, options.clock.nowMs());
    return source;
  }

  get keys(): Watched<ClusterKeys> {
    return this.#keys;
  }

  /**
   * Takes up what the trust domain's authority says of its roots, where that is newer than what is held; it is on the disk when this returns.
   * @throws {ATOLL_BUNDLE_INVALID} for what must not be taken up
   */
  takeBundle(statement: TrustDomainSpec): void {
    const { current } = this.#keys;
    const bundle = ownBundleAfter(current, statement);
    if (bundle === current.bundle) return;
    writePrivateFileSync(join(directoryOf(this.#options), "bundle.json"), statement.bundle);
    this.#keys.set({ ...current, bundle });
    this.#options.logger.info("The roots of the trust domain are others.", { sequence: bundle.sequence, roots: bundle.x509Authorities.length });
  }

  async run(signal: AbortSignal): Promise<void> {
    const { clock, random, logger } = this.#options;
    const endMs = (): number => this.#keys.current.issuer?.notAfterMs ?? clock.nowMs();
    const leftMs = (): number => endMs() - clock.nowMs();
    let waitMs = leftMs() - halfLifeMs;
    let judged = this.#keys.current.bundle;
    let isOutdated = !isOfIssuingRoot(this.#keys.current);
    for (;;) {
      if (this.#keys.current.closed.length > 0) {
        await sleep(clock, jittered(random, closedRetryMs, 0.05), signal);
        if (!(await this.#reopen(signal))) this.#options.onFailure?.();
        waitMs = leftMs() - halfLifeMs;
        continue;
      }
      const known = judged;
      await sleepUntil(clock, jittered(random, isOutdated ? retryMs : Math.max(waitMs, retryMs), 0.05), this.#keys, ({ bundle }) => bundle !== known, signal);
      waitMs = leftMs() - halfLifeMs;
      if (this.#keys.current.bundle !== judged) isOutdated = !isOfIssuingRoot(this.#keys.current);
      judged = this.#keys.current.bundle;
      if (!isOutdated && leftMs() > halfLifeMs * 1.1) continue;
      try {
        this.#keys.set(await obtain(this.#options, this.#keys.current.signer, signal, () => this.#keys.current.bundle));
        // Of whatever root it is now: the signer gives no other before its next bundle.
        isOutdated = false;
        judged = this.#keys.current.bundle;
        // One that the root's end cuts short is no reason to ask for the same again at once.
        waitMs = Math.max(leftMs() - halfLifeMs, leftMs() / 2);
        logger.info("The cluster's intermediate was renewed.", { notAfterMs: endMs() });
      } catch (error) {
        if (signal.aborted) throw error;
        this.#options.onFailure?.();
        logger.warn("The cluster's intermediate could not be renewed; the present one goes on.", {
          notAfterMs: endMs(),
          reason: describeError(error),
        });
      }
    }
  }

  /** Takes up files that were put back, or other keys of the signer; what neither gives stays closed, and it is false. */
  async #reopen(signal: AbortSignal): Promise<boolean> {
    const { trustDomain, clock, logger } = this.#options;
    const { keys, signer } = readClusterKeys(directoryOf(this.#options), trustDomain, clock.nowMs());
    if (keys?.closed.length === 0) {
      this.#keys.set(keys);
      return true;
    }
    try {
      this.#keys.set(await obtain(this.#options, signer, signal, () => this.#keys.current.bundle));
      logger.info("The cluster has other keys in the place of those that could not be used.");
      return true;
    } catch (error) {
      if (signal.aborted) throw error;
      for (const { role, reason } of this.#keys.current.closed) logger.error("A role of this plane is closed for want of its key. Everything else goes on.", { role, reason, signerSays: describeError(error) });
      return false;
    }
  }
}

/** Half of the intermediate's 14 days. */
const halfLifeMs = 7 * 86_400_000;

/** Waits for a signer, or for evidence, that cannot be reached yet; one that refuses ends it. */
async function obtainFirst(options: ClusterCredentialsOptions, current: ObjectSigner | undefined, signal: AbortSignal): Promise<ClusterKeys> {
  for (;;) {
    try {
      return await obtain(options, current, signal);
    } catch (error) {
      if (signal.aborted || !isAtollError(error, "ATOLL_PEER_UNAVAILABLE", "ATOLL_EVIDENCE_UNAVAILABLE")) throw error;
      options.logger.warn("Enrolling is not possible yet and is tried again.", { reason: describeError(error) });
    }
    await sleep(options.clock, jittered(options.random, firstRetryMs, 0.25), signal);
  }
}

/** `held`: the bundle that another must not go behind, as of when the answer has come. */
async function obtain(options: ClusterCredentialsOptions, current: ObjectSigner | undefined, signal: AbortSignal, held?: () => TrustBundle): Promise<ClusterKeys> {
  // What has expired proves nothing any more: enrolling anew is all that helps.
  const valid = current !== undefined && isOver(current, options.clock.nowMs()) ? undefined : current;
  const keyFile = join(directoryOf(options), "joining.key");
  const isJoining = valid === undefined && options.joiningKey !== undefined;
  const intermediate = isJoining ? await keepJoiningKey(keyFile) : createKeyPair();
  const signing = createKeyPair();
  const credentials = await options.certify({ intermediate: createCsr(intermediate), signing: createCsr(signing) }, valid, signal);
  // Checked before anything is replaced: a bundle of another domain, or an older one, must not take the place of ours.
  const bundle = parseBundle(Buffer.from(credentials.bundle).toString("utf8"), options.trustDomain);
  if (held !== undefined) newerBundle(held(), bundle);
  writeCredentials(directoryOf(options), credentials, { signing, intermediate }, formerIssuing(options, credentials));
  if (isJoining && options.joiningKey !== "lasting") await forgetJoiningKey(keyFile);
  const { keys } = readClusterKeys(directoryOf(options), options.trustDomain, options.clock.nowMs());
  if (keys === undefined || keys.closed.length > 0) throw new AtollError("ATOLL_CERTIFICATE_INVALID", "the credentials that were just written cannot be read");
  return keys;
}

function isOver({ chain: [leaf] }: ObjectSigner, nowMs: number): boolean {
  return leaf === undefined || Date.parse(new X509Certificate(leaf).validTo) <= nowMs;
}

function directoryOf(options: ClusterCredentialsOptions): string {
  return join(options.dataDir, "ca");
}

/** What lies beside the credentials, of what was issued by those of before. */
function formerIssuing(options: ClusterCredentialsOptions, { intermediateChain }: ClusterCredentials): readonly (readonly [path: string, content: string])[] {
  const directory = directoryOf(options);
  const nowMs = options.clock.nowMs();
  const former = readClusterKeys(directory, options.trustDomain, nowMs).keys?.ownIntermediates ?? [];
  const lives = readIssuedLives(directory) ?? { earlierEndMs: 0, svidMs: options.svidMs, formerLifeEndMs: 0 };
  return [
    [join(directory, issuedLivesFile), JSON.stringify(withIntermediate(lives, nowMs))],
    [join(directory, ownIntermediatesFile), chainPem([...intermediateChain.slice(0, 1), ...former].slice(0, ownIntermediatesMax))],
  ];
}
