import { X509Certificate } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { createIssuer, type Issuer } from "#federation/identity/authority.ts";
import { parseBundle } from "#federation/identity/bundle-jwks.ts";
import { parseKeyPair } from "#federation/identity/key-pair.ts";
import { parseChainPem } from "#federation/identity/pem.ts";
import type { ClosedRole, KeyRole } from "#federation/model/closed-role.ts";
import type { TrustDomainName } from "#federation/model/names.ts";
import type { TrustBundle } from "#federation/model/trust-bundle.ts";
import { AtollError, describeError } from "#federation/runtime/errors.ts";
import type { ObjectSigner } from "#federation/wire/signed-object.ts";
import { withKeyOf } from "./credential-files.ts";
import { issuedLivesFile, longestLives, parseIssuedLives } from "./issued-lives.ts";

/** By what a cluster vouches for its workloads and signs what it says. */
export interface ClusterKeys {
  /** Undefined while its role is closed, as is `signer`. */
  readonly issuer: Issuer | undefined;
  readonly signer: ObjectSigner | undefined;
  readonly bundle: TrustBundle;
  readonly authorityCertificatePem: string;
  /** The roles whose keys cannot be used, and why. */
  readonly closed: readonly ClosedRole[];
  /** When the last SVID ends that another intermediate than this one has issued, in wall-clock ms. */
  readonly earlierSvidsEndMs: number;
  /** The last ones of this cluster, the present one first, in DER: a proxy that was away while the root was rotated is known by what they have issued. */
  readonly ownIntermediates: readonly Uint8Array[];
}

/** In which `ownIntermediates` lie, beside the present one. */
export const ownIntermediatesFile = "own-intermediates.pem";

/** Those that are kept: they are renewed once a week, and no SVID is renewed by its key more than 30 days after its end. */
export const ownIntermediatesMax = 8;

/** What a directory holds of a cluster's credentials. */
export interface KeptKeys {
  /** Undefined without what every role needs: the bundle, and the authority's certificate. */
  readonly keys: ClusterKeys | undefined;
  /** By which the others can be had again. */
  readonly signer: ObjectSigner | undefined;
  /** What cannot be used, a sentence for each. It stays where it is, for somebody to put it right. */
  readonly damaged: readonly string[];
}

/** Reads what is there, each part by itself, so that a damaged file costs no other. An intermediate that has ended is none. */
export function readClusterKeys(directory: string, trustDomain: TrustDomainName, nowMs: number): KeptKeys {
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
  const issuer = read("intermediate.pem", (pem) => withKeyOf(directory, "intermediate", (key) => currentIssuer(pem, key, nowMs)));
  const signer = read("signing.pem", (pem) => withKeyOf(directory, "signing", (key) => createSigner(pem, key)));
  const bundle = read("bundle.json", (text) => parseBundle(text, trustDomain));
  const authorityCertificatePem = read("authority.pem", (pem) => {
    parseChainPem(pem);
    return pem;
  });
  if (bundle === undefined || authorityCertificatePem === undefined) return { keys: undefined, signer, damaged };
  const lives = read(issuedLivesFile, parseIssuedLives);
  const kept = read(ownIntermediatesFile, parseChainPem) ?? [];
  const closed = (role: KeyRole, name: string, key: unknown): readonly ClosedRole[] => (key === undefined ? [{ role, reason: whyClosed(directory, name, damaged) }] : []);
  const keys: ClusterKeys = {
    issuer,
    signer,
    bundle,
    authorityCertificatePem,
    closed: [...closed("issuing", "intermediate", issuer), ...closed("signing", "signing", signer)],
    earlierSvidsEndMs: lives?.earlierEndMs ?? (issuer === undefined ? 0 : longestLives(issuer).earlierEndMs),
    ownIntermediates: kept.length > 0 ? kept : (issuer?.chain.slice(0, 1) ?? []),
  };
  return { keys, signer, damaged };
}

/** What is wrong with a pair of files, and what to do. */
function whyClosed(directory: string, name: string, damaged: readonly string[]): string {
  const fault = damaged.find((each) => each.startsWith(`${name}.pem: `)) ?? `${name}.pem is missing`;
  return `${join(directory, name)}.key and ${name}.pem cannot be used (${fault}); put both back from a copy, or let the trust domain's signer give others: they are asked for by themselves, which takes a new enrolment token in signer.tokenFile where a token is what this plane enrols by and its signing key is lost`;
}

function currentIssuer(chainPem: string, privateKeyPem: string, nowMs: number): Issuer {
  const issuer = createIssuer(chainPem, privateKeyPem);
  if (issuer.notAfterMs <= nowMs) throw new AtollError("ATOLL_CERTIFICATE_INVALID", `the intermediate has ended on ${new Date(issuer.notAfterMs).toISOString()}`);
  return issuer;
}

function createSigner(chainPem: string, privateKeyPem: string): ObjectSigner {
  const chain = parseChainPem(chainPem);
  const { privateKey } = parseKeyPair(privateKeyPem);
  const [leaf = new Uint8Array()] = chain;
  if (!new X509Certificate(leaf).checkPrivateKey(privateKey)) throw new AtollError("ATOLL_CERTIFICATE_INVALID", "the signing key does not belong to its certificate");
  return { privateKey, chain };
}
