import { createIssuer, createRoot } from "#federation/identity/authority.ts";
import { createKeyPair, exportPrivateKeyPem } from "#federation/identity/key-pair.ts";
import { createX509Svid, issueSvid } from "#federation/identity/leaf.ts";
import type { X509Svid } from "#federation/identity/svid.ts";
import { parseSpiffeId, parseTrustDomainName } from "#federation/model/spiffe-id.ts";
import type { TrustBundle } from "#federation/model/trust-bundle.ts";
import { systemClock } from "#federation/runtime/clock.ts";

/** A trust domain of its own for tests: a real root, its bundle, and SVIDs of any path. */
export interface TestTrustDomain {
  readonly bundle: TrustBundle;
  readonly rootDer: Uint8Array;
  svid(path: string, validityMs?: number): X509Svid;
  /** What a plane answers: the chain for somebody else's public key. */
  issue(path: string, publicKey: Parameters<typeof issueSvid>[1]["publicKey"], validityMs?: number): readonly Uint8Array[];
}

export function createTestTrustDomain(name: string, sequence = 1): TestTrustDomain {
  const trustDomain = parseTrustDomainName(name);
  const root = createRoot({ trustDomain, nowMs: systemClock.nowMs(), validityMs: 86_400_000 });
  const issuer = createIssuer(root.certificatePem, root.privateKeyPem);
  const issue: TestTrustDomain["issue"] = (path, publicKey, validityMs = 3_600_000) =>
    issueSvid(issuer, { spiffeId: parseSpiffeId(`spiffe://${name}${path}`), publicKey, validityMs, nowMs: systemClock.nowMs() });
  return {
    bundle: { trustDomain, sequence, refreshHintSeconds: 300, x509Authorities: [root.certificateDer] },
    rootDer: root.certificateDer,
    issue,
    svid(path, validityMs) {
      const keys = createKeyPair();
      return createX509Svid(issue(path, keys.publicKey, validityMs), exportPrivateKeyPem(keys.privateKey));
    },
  };
}
