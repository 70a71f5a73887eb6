import { readFile, rename } from "node:fs/promises";
import { randomUUID } from "node:crypto";
import { join } from "node:path";
import { describeError } from "#federation/runtime/errors.ts";
import { writePrivateFile } from "#federation/runtime/private-file.ts";
import { parseTrustDomainName } from "#federation/model/spiffe-id.ts";
import type { TrustBundle } from "#federation/model/trust-bundle.ts";
import { isMissing } from "#federation/runtime/missing-file.ts";
import { encodeBundle, parseBundle } from "./bundle-jwks.ts";
import { createX509Svid } from "./leaf.ts";
import { exportPrivateKeyPem, parseKeyPair } from "./key-pair.ts";
import { parseChainPem } from "./pem.ts";
import type { X509Svid } from "./svid.ts";

/** What a directory held. An SVID is returned even when it has expired: whoever uses it looks at `notAfterMs`. */
export interface LoadedIdentity {
  readonly svid: X509Svid | undefined;
  readonly bundles: readonly TrustBundle[];
  /** One sentence for each file that could not be used and was moved aside to `<name>.corrupt-<random>`. */
  readonly warnings: readonly string[];
}

const svidFile = "svid.pem";
const bundlesFile = "bundles.json";

/** Most trust domains in one bundle file. */
const trustDomainsMax = 1024;

/** Reads what `saveSvid` and `saveBundles` wrote. Missing files are no fault. */
export async function loadIdentity(directory: string): Promise<LoadedIdentity> {
  const warnings: string[] = [];
  const svid = await loadFile(join(directory, svidFile), parseSvidFile, warnings);
  const bundles = await loadFile(join(directory, bundlesFile), parseBundlesFile, warnings);
  return { svid, bundles: bundles ?? [], warnings };
}

/** Writes key and chain into one file of mode 0600, so that they change together; after a crash it is the old or the new one. */
export function saveSvid(directory: string, svid: X509Svid): Promise<void> {
  return writePrivateFile(join(directory, svidFile), svid.privateKeyPem + svid.certificateChainPem);
}

/** Writes bundles as a SPIFFE bundle map. @see https://github.com/spiffe/spiffe/blob/main/standards/SPIFFE_Trust_Domain_and_Bundle.md */
export function saveBundles(directory: string, bundles: readonly TrustBundle[]): Promise<void> {
  const entries = bundles.map((bundle) => [bundle.trustDomain, JSON.parse(encodeBundle(bundle)) as unknown]);
  return writePrivateFile(join(directory, bundlesFile), JSON.stringify({ trust_domains: Object.fromEntries(entries) }));
}

function parseSvidFile(text: string): X509Svid {
  const { privateKey } = parseKeyPair(text.slice(0, text.indexOf("-----BEGIN CERTIFICATE-----")));
  return createX509Svid(parseChainPem(text), exportPrivateKeyPem(privateKey));
}

function parseBundlesFile(text: string): readonly TrustBundle[] {
  const domains: unknown = (JSON.parse(text) as { readonly trust_domains?: unknown } | null)?.trust_domains;
  if (typeof domains !== "object" || domains === null) throw new Error("the file is not a bundle map");
  const entries = Object.entries(domains);
  if (entries.length > trustDomainsMax) throw new Error(`a bundle map has at most ${trustDomainsMax} trust domains`);
  return entries.map(([name, document]) => parseBundle(JSON.stringify(document), parseTrustDomainName(name)));
}

async function loadFile<T>(path: string, parse: (text: string) => T, warnings: string[]): Promise<T | undefined> {
  let text: string;
  try {
    text = await readFile(path, "utf8");
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
  try {
    return parse(text);
  } catch (error) {
    const aside = `${path}.corrupt-${randomUUID().slice(0, 8)}`;
    await rename(path, aside);
    warnings.push(`${path} could not be used and was moved to ${aside}: ${describeError(error)}`);
    return undefined;
  }
}
