import { createIssuer, createRoot } from "#federation/identity/authority.ts";
import { createKeyPair, exportPrivateKeyPem } from "#federation/identity/key-pair.ts";
import { issueSvid } from "#federation/identity/leaf.ts";
import { certificatePem } from "#federation/identity/pem.ts";
import { createSpiffeId, parseTrustDomainName } from "#federation/model/spiffe-id.ts";
import type { Clock } from "#federation/runtime/clock.ts";

/** What the plugin shows to the Terraform that started it: a certificate of this one process, told over the pipe. */
export interface OwnCertificate {
  readonly certificateDer: Uint8Array;
  readonly certificatePem: string;
  readonly privateKeyPem: string;
}

/** As long as the longest of applies. */
const validityMs = 7 * 86_400_000;
const trustDomain = parseTrustDomainName("terraform.invalid");

/** A new P-256 key and certificate for `localhost`, which is what go-plugin's AutoMTLS asks for. */
export function createOwnCertificate(clock: Clock): OwnCertificate {
  const nowMs = clock.nowMs();
  const root = createRoot({ trustDomain, validityMs, nowMs });
  const keys = createKeyPair();
  const spiffeId = createSpiffeId(trustDomain, "provider");
  const [certificateDer = new Uint8Array()] = issueSvid(createIssuer(root.certificatePem, root.privateKeyPem), { spiffeId, publicKey: keys.publicKey, validityMs, nowMs, commonName: "localhost", dnsNames: ["localhost"] });
  return { certificateDer, certificatePem: certificatePem(certificateDer), privateKeyPem: exportPrivateKeyPem(keys.privateKey) };
}
