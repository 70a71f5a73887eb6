import { X509Certificate } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { createIssuer, type Issuer } from "#federation/identity/authority.ts";
import { parseBundle } from "#federation/identity/bundle-jwks.ts";
import { parseKeyPair } from "#federation/identity/key-pair.ts";
import { parseChainPem } from "#federation/identity/pem.ts";
import type { TrustDomainName } from "#federation/model/names.ts";
import type { TrustBundle } from "#federation/model/trust-bundle.ts";
import { AtollError, describeError } from "#federation/runtime/errors.ts";
import type { ObjectSigner } from "#federation/wire/signed-object.ts";

/** By what a cluster vouches for its workloads and signs what it says. */
export interface ClusterKeys {
  readonly issuer: Issuer;
  readonly signer: ObjectSigner;
  readonly bundle: TrustBundle;
  readonly authorityCertificatePem: string;
}

/** What a directory holds of a cluster's credentials. */
export interface KeptKeys {
  /** Undefined unless all of them are there and can be used. */
  readonly keys: ClusterKeys | undefined;
  /** By which the others can be had again. */
  readonly signer: ObjectSigner | undefined;
  /** What cannot be used, a sentence for each. It stays where it is, for somebody to put it right. */
  readonly damaged: readonly string[];
}

/** Reads what is there, each part by itself, so that a damaged file costs no other. */
export function readClusterKeys(directory: string, trustDomain: TrustDomainName): KeptKeys {
  const damaged: string[] = [];
  const read = <T>(file: string, parse: (text: string) => T): T | undefined => {
    const path = join(directory, file);
    if (!existsSync(path)) return undefined;
    try {
      return parse(readFileSync(path, "utf8"));
    } catch (error) {
      damaged.push(`${file}: ${describeError(error)}`);
      return undefined;
    }
  };
  const keyOf = (name: string): string => readFileSync(join(directory, `${name}.key`), "utf8");
  const issuer = read("intermediate.pem", (pem) => createIssuer(pem, keyOf("intermediate")));
  const signer = read("signing.pem", (pem) => createSigner(pem, keyOf("signing")));
  const bundle = read("bundle.json", (text) => parseBundle(text, trustDomain));
  const authorityCertificatePem = read("authority.pem", (pem) => {
    parseChainPem(pem);
    return pem;
  });
  const isWhole = issuer !== undefined && signer !== undefined && bundle !== undefined && authorityCertificatePem !== undefined;
  return { keys: isWhole ? { issuer, signer, bundle, authorityCertificatePem } : undefined, signer, damaged };
}

function createSigner(chainPem: string, privateKeyPem: string): ObjectSigner {
  const chain = parseChainPem(chainPem);
  const { privateKey } = parseKeyPair(privateKeyPem);
  const [leaf = new Uint8Array()] = chain;
  if (!new X509Certificate(leaf).checkPrivateKey(privateKey)) throw new AtollError("ATOLL_CERTIFICATE_INVALID", "the signing key does not belong to its certificate");
  return { privateKey, chain };
}
