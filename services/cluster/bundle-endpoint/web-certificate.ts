import { createPrivateKey, type KeyObject } from "node:crypto";
import { createSecureContext } from "node:tls";
import { parseX509 } from "#federation/identity/authority.ts";
import { parseChainPem } from "#federation/identity/pem.ts";
import { readBoundedFileSync } from "#federation/runtime/bounded-file.ts";
import { sleep, type Clock } from "#federation/runtime/clock.ts";
import { AtollError, describeError } from "#federation/runtime/errors.ts";
import { readSecretFile } from "#federation/runtime/secret-file.ts";
import { WatchedValue, type Watched } from "#federation/runtime/watched.ts";
import type { Logger } from "#federation/telemetry/logger.ts";
import type { CertificateSource, ShownCertificate } from "./shown-certificate.ts";

/** The files of a web certificate, by absolute paths. */
export interface WebCertificateFiles {
  readonly certificateFile: string;
  readonly keyFile: string;
}

export interface WebCertificateOptions extends WebCertificateFiles {
  /** Hears of each pair of files that is not taken. */
  readonly onFailure: () => void;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** How often the files are looked at. They are small, and a renewal leaves weeks. */
const lookMs = 10_000;
/** A chain of `chainLengthMax` certificates is far below. */
const certificateBytesMax = 128 * 1024;

/**
 * For `https_web`: what the operator's files hold, read again for as long as they may change. Files that do not fit each other never take
 * the place of a pair that did, and do not keep the plane from starting: it has more to do than this.
 */
export class WebCertificate implements CertificateSource {
  readonly #options: WebCertificateOptions;
  readonly #certificate = new WatchedValue<ShownCertificate | undefined>(undefined);
  /** Of the look before. */
  #seen: string | undefined;
  #told: string | undefined;

  constructor(options: WebCertificateOptions) {
    this.#options = options;
    this.#look();
  }

  get certificate(): Watched<ShownCertificate | undefined> {
    return this.#certificate;
  }

  get fault(): string | undefined {
    return this.#told;
  }

  async run(signal: AbortSignal): Promise<void> {
    for (;;) {
      await sleep(this.#options.clock, lookMs, signal);
      this.#look();
    }
  }

  #look(): void {
    const { clock, logger } = this.#options;
    const { current } = this.#certificate;
    try {
      const next = readWebCertificate(this.#options, clock.nowMs());
      this.#seen = undefined;
      this.#told = undefined;
      if (next.certificateChainPem === current?.certificateChainPem && next.privateKeyPem === current.privateKeyPem) return;
      this.#certificate.set(next);
      logger.info("The bundle endpoint shows a web certificate.", { notAfterMs: next.notAfterMs });
    } catch (error) {
      this.#tell(describeError(error), current !== undefined);
    }
  }

  /** Once. Two files are written one after the other, so that one look may see them between: with another certificate to go on with, a second look has to see the same. */
  #tell(fault: string, hasOther: boolean): void {
    const isCertain = !hasOther || fault === this.#seen;
    this.#seen = fault;
    if (!isCertain || fault === this.#told) return;
    this.#told = fault;
    this.#options.onFailure();
    this.#options.logger.error(`The bundle endpoint's web certificate cannot be used; ${hasOther ? "the one before goes on" : "nobody is served until it can"}.`, { reason: fault });
  }
}

/**
 * Reads a certificate and its key, and sees to it that they belong together and have not ended.
 * @throws {ATOLL_CERTIFICATE_INVALID}
 * @throws {ATOLL_KEY_FILE_INVALID}
 */
export function readWebCertificate({ certificateFile, keyFile }: WebCertificateFiles, nowMs: number): ShownCertificate {
  const privateKeyPem = readSecretFile(keyFile, "bundleEndpoint.keyFile");
  const key = parseKey(privateKeyPem, keyFile);
  try {
    const certificateChainPem = readBoundedFileSync(certificateFile, certificateBytesMax);
    const [leaf] = parseChainPem(certificateChainPem).map(parseX509);
    if (leaf?.checkPrivateKey(key) !== true) throw new Error(`its first certificate does not belong to the key in ${keyFile}`);
    const notAfterMs = leaf.validToDate.getTime();
    if (notAfterMs <= nowMs) throw new Error(`it ended at ${leaf.validToDate.toISOString()}`);
    // Whatever else TLS would not take of it, as a key that is too short.
    createSecureContext({ cert: certificateChainPem, key: privateKeyPem });
    return { certificateChainPem, privateKeyPem, notAfterMs };
  } catch (cause) {
    throw new AtollError("ATOLL_CERTIFICATE_INVALID", `bundleEndpoint.certificateFile ${certificateFile} cannot be used: ${describeError(cause)}`);
  }
}

function parseKey(pem: string, keyFile: string): KeyObject {
  try {
    return createPrivateKey(pem);
  } catch {
    throw new AtollError("ATOLL_KEY_FILE_INVALID", `bundleEndpoint.keyFile ${keyFile} holds no private key in PEM without a passphrase`);
  }
}
