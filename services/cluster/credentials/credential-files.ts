import { createPrivateKey, X509Certificate } from "node:crypto";
import { existsSync, readFileSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { exportPrivateKeyPem, type KeyPair } from "#federation/identity/key-pair.ts";
import { certificatePem, chainPem } from "#federation/identity/pem.ts";
import { writePrivateFilesSync } from "#federation/runtime/private-file.ts";
import type { ClusterCredentials } from "#federation/wire/signer-messages.ts";

const names = ["signing", "intermediate"] as const;

/** A key lies under the second name before its certificate does, and then under the first. */
const keyNames = (name: string): readonly [string, string] => [`${name}.key`, `${name}.next.key`];

/** Of what the credentials certify. */
export interface CredentialKeys {
  readonly signing: KeyPair;
  readonly intermediate: KeyPair;
}

type Files = readonly (readonly [path: string, content: string | Uint8Array])[];

/**
 * Writes a cluster's credentials over those of before: all of them, or, on a disk that does not take them, none. `beside` is written before
 * them, and has to be true of those of before as well.
 */
export function writeCredentials(directory: string, credentials: ClusterCredentials, keys: CredentialKeys, beside: Files = []): void {
  settleKeys(directory);
  writePrivateFilesSync([...beside, ...credentialFiles(directory, credentials, keys)]);
  settleKeys(directory);
}

/** Leaves each certificate the one key that is its own, under the first name, where writing may have ended before it came there. */
export function settleKeys(directory: string): void {
  for (const name of names) {
    const [key, next] = keyNames(name).map((file) => join(directory, file)) as [string, string];
    if (!existsSync(next)) continue;
    if (isKeyOf(join(directory, `${name}.pem`), next)) renameSync(next, key);
    else rmSync(next);
  }
}

function isKeyOf(certificateFile: string, keyFile: string): boolean {
  try {
    return new X509Certificate(readFileSync(certificateFile)).checkPrivateKey(createPrivateKey(readFileSync(keyFile)));
  } catch {
    // Missing or damaged: nobody's.
    return false;
  }
}

/**
 * A cluster's credentials as they lie in `directory`, in the order in which they are written over those of before: wherever that ends, as by
 * a loss of power, each certificate that is there has its key beside it, under one of two names. Pure.
 */
export function credentialFiles(directory: string, credentials: ClusterCredentials, keys: CredentialKeys): Files {
  const pair = (name: string, chain: readonly Uint8Array[], { privateKey }: KeyPair): Files => {
    const [key, next] = keyNames(name);
    const privateKeyPem = exportPrivateKeyPem(privateKey);
    return [[join(directory, next), privateKeyPem], [join(directory, `${name}.pem`), chainPem(chain)], [join(directory, key), privateKeyPem]];
  };
  return [
    [join(directory, "bundle.json"), credentials.bundle],
    [join(directory, "authority.pem"), certificatePem(credentials.authorityCertificate)],
    ...pair("signing", credentials.signingChain, keys.signing),
    ...pair("intermediate", credentials.intermediateChain, keys.intermediate),
  ];
}

/** What `use` makes of the key of the certificate `name`, under whichever name that lies. @throws what `use` throws of the first, or what reading that throws */
export function withKeyOf<T>(directory: string, name: string, use: (privateKeyPem: string) => T): T {
  const [key, next] = keyNames(name).map((file) => join(directory, file)) as [string, string];
  try {
    return use(readFileSync(key, "utf8"));
  } catch (error) {
    if (!existsSync(next)) throw error;
    try {
      return use(readFileSync(next, "utf8"));
    } catch {
      throw error;
    }
  }
}
