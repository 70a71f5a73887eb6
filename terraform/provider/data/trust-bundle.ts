import { authoritySha256Of } from "#federation/admin-api/relationship-client.ts";
import { parseTrustDomainName } from "#federation/model/spiffe-id.ts";
import { requiredText } from "../cty/values.ts";
import type { ReadSource } from "../managed.ts";

/** `atoll_trust_bundle`: what a trust domain's own signer has said of it. */
export const trustBundle: ReadSource = {
  schema: {
    description: "A trust domain's bundle and authority, as its own signer brought them. `authority_sha256` is what relationships pin.",
    attributes: [
      { name: "name", field: "name", type: { kind: "string" }, use: "required", description: "The trust domain." },
      { name: "authority_sha256", field: "authoritySha256", type: { kind: "string" }, use: "computed", description: "SHA-256 of the public key (SPKI) of its authority, lower-case hex." },
      { name: "authority_certificate_pem", field: "authorityCertificatePem", type: { kind: "string" }, use: "computed", description: "The authority's self-signed certificate." },
      { name: "bundle", field: "bundle", type: { kind: "string" }, use: "computed", description: "The SPIFFE bundle document (JWKS), as the authority signed it." },
    ],
  },
  async read(config, planes, signal) {
    const name = parseTrustDomainName(requiredText(config, "name"));
    const trustDomain = await planes.of(undefined).get("TrustDomain", { name }, signal);
    const { spec } = trustDomain;
    return { name, authority_sha256: authoritySha256Of(trustDomain), authority_certificate_pem: spec.authorityCertificatePem, bundle: spec.bundle };
  },
};
