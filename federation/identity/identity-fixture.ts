import type { SpiffeId, TrustDomainName } from "#federation/model/names.ts";
import { parseSpiffeId, parseTrustDomainName } from "#federation/model/spiffe-id.ts";
import type { TrustBundle } from "#federation/model/trust-bundle.ts";
import { createIssuer, createRoot, issueIntermediate, type CertifiedKey, type Issuer } from "./authority.ts";
import { createKeyPair, exportPrivateKeyPem } from "./key-pair.ts";
import { createX509Svid, issueSvid, type SvidOptions } from "./leaf.ts";
import { chainPem } from "./pem.ts";
import type { X509Svid } from "./svid.ts";

/** A trust domain made for a test, with real keys of its own. */
export interface DomainFixture {
  readonly name: TrustDomainName;
  readonly root: CertifiedKey;
  readonly bundle: TrustBundle;
  readonly rootIssuer: Issuer;
  readonly intermediateIssuer: Issuer;
  /** An SVID of any identity, a foreign domain's too, signed by this domain's root or intermediate. */
  issue(spiffeId: string, via?: "root" | "intermediate", extra?: Partial<SvidOptions>): X509Svid;
}

const hourMs = 3_600_000;

/** Makes root, intermediate and bundle of `name`, valid around `nowMs`. */
export function createDomainFixture(name: string, nowMs: number): DomainFixture {
  const trustDomain = parseTrustDomainName(name);
  const root = createRoot({ trustDomain, validityMs: 1_000 * hourMs, nowMs });
  const rootIssuer = createIssuer(root.certificatePem, root.privateKeyPem);
  const keys = createKeyPair();
  const chain = issueIntermediate(rootIssuer, { trustDomain, name: "cluster-1", publicKey: keys.publicKey, validityMs: 336 * hourMs, nowMs });
  const intermediateIssuer = createIssuer(chainPem(chain), exportPrivateKeyPem(keys.privateKey));
  return {
    name: trustDomain,
    root,
    bundle: { trustDomain, sequence: 1, refreshHintSeconds: 300, x509Authorities: [root.certificateDer] },
    rootIssuer,
    intermediateIssuer,
    issue(spiffeId, via = "intermediate", extra = {}) {
      const leafKeys = createKeyPair();
      const id: SpiffeId = parseSpiffeId(spiffeId);
      const issued = issueSvid(via === "root" ? rootIssuer : intermediateIssuer, {
        spiffeId: id,
        publicKey: leafKeys.publicKey,
        validityMs: hourMs,
        nowMs,
        ...extra,
      });
      return createX509Svid(issued, exportPrivateKeyPem(leafKeys.privateKey));
    },
  };
}
