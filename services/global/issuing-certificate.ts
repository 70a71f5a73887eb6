import type { KeyObject, X509Certificate } from "node:crypto";
import { createIssuer, issueIntermediate, parseX509, type Issuer } from "#federation/identity/authority.ts";
import type { TrustDomainName } from "#federation/model/names.ts";
import { AtollError, describeError } from "#federation/runtime/errors.ts";
import { keyFiles, readKeyFile } from "./federation-key-files.ts";
import { firstCertificate } from "./trust/authority-rows.ts";

const certificateFile = `${keyFiles.issuing}.pem`;
/** How long the certificate lives by which the global plane issues. */
export const issuingValidityMs = 365 * 86_400_000;

export interface IssuingOptions {
  readonly trustDomain: TrustDomainName;
  readonly publicKey: KeyObject;
  readonly nowMs: number;
}

/** Certifies the key by which the global plane issues day by day; DER, own certificate first, without the root. */
export function certifyIssuing(root: Issuer, options: IssuingOptions): readonly Uint8Array[] {
  return issueIntermediate(root, { ...options, name: "global", validityMs: issuingValidityMs });
}

/** @throws {ATOLL_CERTIFICATE_INVALID} when `certificate` was not issued by the root of `rootPem`: nobody would believe what is issued by it. */
export function checkIssuedByRoot(certificate: X509Certificate, rootPem: string): void {
  if (!certificate.verify(firstCertificate(rootPem).publicKey)) throw new AtollError("ATOLL_CERTIFICATE_INVALID", `${certificateFile} was not issued by the federation's root (${keyFiles.root}.pem)`);
}

/**
 * What the global plane issues by, as its files in `dataDir` have it at each moment: whoever writes another certificate there has it used from
 * the next issue on. While what is there cannot be used, the one before goes on, and `onRefused` hears why, of each reason once.
 */
export class IssuingCertificate {
  readonly #dataDir: string;
  readonly #rootPem: string;
  readonly #onRefused: (reason: string) => void;
  #text: string;
  #issuer: Issuer;
  #refused = "";

  /** @throws {ATOLL_CONFIG_INVALID | ATOLL_CERTIFICATE_INVALID} when there is none that can be used. */
  constructor(dataDir: string, rootPem: string, onRefused: (reason: string) => void) {
    this.#dataDir = dataDir;
    this.#rootPem = rootPem;
    this.#onRefused = onRefused;
    this.#text = readKeyFile(dataDir, certificateFile);
    this.#issuer = this.#issuerOf(this.#text);
  }

  issuerAt(nowMs: number): Issuer {
    try {
      const text = readKeyFile(this.#dataDir, certificateFile);
      if (text !== this.#text) {
        const issuer = this.#issuerOf(text);
        checkCounts(certificateOf(issuer), nowMs);
        this.#issuer = issuer;
        this.#text = text;
      }
      this.#refused = "";
    } catch (error) {
      const reason = describeError(error);
      if (reason !== this.#refused) this.#onRefused(reason);
      this.#refused = reason;
    }
    return this.#issuer;
  }

  certificateAt(nowMs: number): X509Certificate {
    return certificateOf(this.issuerAt(nowMs));
  }

  #issuerOf(text: string): Issuer {
    const issuer = createIssuer(text, readKeyFile(this.#dataDir, `${keyFiles.issuing}.key`));
    checkIssuedByRoot(certificateOf(issuer), this.#rootPem);
    return issuer;
  }
}

/** Where the root's key is, far from any network, nothing sets a clock right. */
function checkCounts({ validFromDate, validToDate }: X509Certificate, nowMs: number): void {
  if (validFromDate.getTime() <= nowMs && nowMs < validToDate.getTime()) return;
  throw new AtollError("ATOLL_CERTIFICATE_INVALID", `${certificateFile} counts from ${validFromDate.toISOString()} to ${validToDate.toISOString()}, and not now: is the clock right where it was made?`);
}

function certificateOf({ chain: [own = new Uint8Array()] }: Issuer): X509Certificate {
  return parseX509(own);
}
