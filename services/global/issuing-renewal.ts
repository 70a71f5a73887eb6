import type { X509Certificate } from "node:crypto";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { createIssuer, type Issuer } from "#federation/identity/authority.ts";
import { parseKeyPair } from "#federation/identity/key-pair.ts";
import { chainPem } from "#federation/identity/pem.ts";
import { isAged } from "#federation/runtime/certificate-age.ts";
import { AtollError, describeError } from "#federation/runtime/errors.ts";
import { writePrivateFileSync } from "#federation/runtime/private-file.ts";
import { readSecretFile } from "#federation/runtime/secret-file.ts";
import { keyFiles, readFederationName, readKeyFile } from "./federation-key-files.ts";
import { certifyIssuing, checkIssuedByRoot, issuingValidityMs } from "./issuing-certificate.ts";
import { firstCertificate } from "./trust/authority-rows.ts";

export interface IssuingRenewal {
  /** Where the federation's certificates are; the issuing key need not be there. */
  readonly dataDir: string;
  /** `federation-root.key` in `dataDir` unless told. */
  readonly rootKeyFile?: string | undefined;
  /** Before half of its life is over, too, and where the root's end cuts the new one short. */
  readonly isForced?: boolean | undefined;
  readonly nowMs: number;
}

export interface IssuingOutcome {
  readonly isNew: boolean;
  readonly notAfterMs: number;
}

/**
 * Makes another certificate for the key that the global plane issues by, once the present one has lived for half of its life. The key stays, so that
 * no reader meets a pair that does not fit, and certificates that were issued before lead to the root as they did. Until it is due, no root key is needed.
 * @throws {ATOLL_KEY_FILE_INVALID} for the root's key; {ATOLL_CERTIFICATE_INVALID} when certificates do not belong together, the root ends too early, another one
 * would end no later, or a clock is wrong; {ATOLL_CONFIG_INVALID} when `dataDir` holds no federation. Nothing is written then.
 */
export function renewIssuing({ dataDir, rootKeyFile = join(dataDir, `${keyFiles.root}.key`), isForced = false, nowMs }: IssuingRenewal): IssuingOutcome {
  const trustDomain = readFederationName(dataDir);
  const present = firstCertificate(readKeyFile(dataDir, `${keyFiles.issuing}.pem`));
  checkKey(dataDir, present);
  checkBegun(present, { isForced, nowMs });
  if (!isForced && !isAged(present, nowMs)) return { isNew: false, notAfterMs: present.validToDate.getTime() };
  const rootPem = readKeyFile(dataDir, `${keyFiles.root}.pem`);
  checkIssuedByRoot(present, rootPem);
  const root = rootIssuer(rootPem, rootKeyFile);
  checkRootLives(root, { isForced, nowMs });
  checkGains(present, Math.min(nowMs + issuingValidityMs, root.notAfterMs), nowMs);
  const chain = certifyIssuing(root, { trustDomain, publicKey: present.publicKey, nowMs });
  const pem = chainPem(chain);
  writePrivateFileSync(join(dataDir, `${keyFiles.issuing}.pem`), pem);
  return { isNew: true, notAfterMs: firstCertificate(pem).validToDate.getTime() };
}

function checkKey(dataDir: string, certificate: X509Certificate): void {
  const path = join(dataDir, `${keyFiles.issuing}.key`);
  if (!existsSync(path)) return;
  const { privateKey } = parseKeyPair(readSecretFile(path, "the issuing key"));
  if (!certificate.checkPrivateKey(privateKey)) throw new AtollError("ATOLL_CERTIFICATE_INVALID", `${keyFiles.issuing}.pem and ${keyFiles.issuing}.key in ${dataDir} do not belong together: bring the two that the global plane has`);
}

function rootIssuer(rootPem: string, rootKeyFile: string): Issuer {
  if (!existsSync(rootKeyFile)) throw new AtollError("ATOLL_KEY_FILE_INVALID", `the root's key is not at ${rootKeyFile}: bring it from where it is kept offline, or name it with --root-key`);
  const key = readSecretFile(rootKeyFile, "the root's key");
  try {
    return createIssuer(rootPem, key);
  } catch (error) {
    throw new AtollError("ATOLL_KEY_FILE_INVALID", `${rootKeyFile} is not the key of this federation's root (${keyFiles.root}.pem): ${describeError(error)}`);
  }
}

function checkRootLives(root: Issuer, { isForced, nowMs }: { readonly isForced: boolean; readonly nowMs: number }): void {
  const end = new Date(root.notAfterMs).toISOString().slice(0, 10);
  if (root.notAfterMs <= nowMs) throw new AtollError("ATOLL_CERTIFICATE_INVALID", `the federation's root ended on ${end}, and nothing that it signs counts any more`);
  if (!isForced && root.notAfterMs < nowMs + issuingValidityMs) throw new AtollError("ATOLL_CERTIFICATE_INVALID", `the federation's root ends on ${end}, before a new issuing certificate would: bring everybody under another root by then; --force makes one that ends with it`);
}

/** Where the root's key is, far from any network, nothing sets a clock right: one that is behind makes what has ended soon, one that is ahead what counts for nobody yet. */
function checkBegun({ validFromDate }: X509Certificate, { isForced, nowMs }: { readonly isForced: boolean; readonly nowMs: number }): void {
  if (isForced || validFromDate.getTime() <= nowMs) return;
  throw new AtollError("ATOLL_CERTIFICATE_INVALID", `the present issuing certificate counts from ${validFromDate.toISOString()} on: is the clock right here (${new Date(nowMs).toISOString()})? --force makes another where it was wrong there`);
}

function checkGains({ validFromDate, validToDate }: X509Certificate, endMs: number, nowMs: number): void {
  if (endMs > validToDate.getTime() || validFromDate.getTime() > nowMs) return;
  throw new AtollError("ATOLL_CERTIFICATE_INVALID", `another issuing certificate would end on ${new Date(endMs).toISOString().slice(0, 10)}, no later than the present one does`);
}
