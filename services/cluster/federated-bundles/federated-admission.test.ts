import { expect, it } from "vitest";
import { encodeBundle } from "#federation/identity/bundle-jwks.ts";
import { createDomainFixture } from "#federation/identity/identity-fixture.ts";
import { federatedTrustDomainsMax } from "#federation/model/federated-trust-domain.ts";
import { parseResource } from "#federation/model/parse/parse-resource.ts";
import { apiVersion, type BundleEndpointSpec, type FederatedTrustDomain } from "#federation/model/resource.ts";
import type { SpiffeId } from "#federation/model/names.ts";
import { federatedAdmission } from "./federated-admission.ts";

const partner = createDomainFixture("partner.example", Date.UTC(2026, 0, 1));
const web: BundleEndpointSpec = { urls: ["https://partner.example/bundle"], profile: "https_web" };
const spiffe: BundleEndpointSpec = { urls: ["https://10.0.0.9:8443/"], profile: "https_spiffe", spiffeId: "spiffe://partner.example/spire/server" as SpiffeId };
const declared = (bundleEndpoint: BundleEndpointSpec, trustDomainBundle?: string, name = "partner.example"): FederatedTrustDomain => ({
  apiVersion,
  kind: "FederatedTrustDomain",
  metadata: { name },
  spec: { bundleEndpoint, ...(trustDomainBundle === undefined ? {} : { trustDomainBundle }) },
});
const document = encodeBundle(partner.bundle);
const admit = async (resource: FederatedTrustDomain, present: ReadonlyMap<string, unknown> = new Map()): Promise<void> =>
  await federatedAdmission({ present: () => present, isOwn: (name) => (name as string) === "pay.example" }).apply?.(resource, AbortSignal.timeout(1_000));

it("takes what can be believed", async () => {
  for (const resource of [declared(web), declared({ ...web, webRootsPem: partner.root.certificatePem }), declared(web, document), declared(spiffe, document)]) {
    expect(parseResource(resource)).toMatchObject({ kind: "parsed" });
    await admit(resource);
  }
});

it("refuses trust domains of this federation, bundles of others or of nobody, certificates that are none, and one too many", async () => {
  await expect(admit(declared(web, undefined, "pay.example"))).rejects.toMatchObject({ code: "ATOLL_RESOURCE_INVALID", message: expect.stringContaining("pay.example is a trust domain of this federation") as string });
  const other = encodeBundle(createDomainFixture("other.example", Date.UTC(2026, 0, 1)).bundle);
  await expect(admit(declared(spiffe, other))).rejects.toMatchObject({ code: "ATOLL_BUNDLE_INVALID" });
  await expect(admit(declared(spiffe, '{"keys":[{"kty":"EC","use":"jwt-svid"}]}'))).rejects.toMatchObject({ code: "ATOLL_RESOURCE_INVALID", message: expect.stringContaining("no root") as string });
  await expect(admit(declared({ ...web, webRootsPem: "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n" }))).rejects.toMatchObject({ code: "ATOLL_RESOURCE_INVALID" });
  const full = new Map(Array.from({ length: federatedTrustDomainsMax }, (_, at) => [`d${at}.example`, at]));
  await expect(admit(declared(web), full)).rejects.toMatchObject({ code: "ATOLL_STORE_FULL" });
  await admit(declared(web, undefined, "d3.example"), full);
});

it("has no form in which a profile lacks what it needs, has what is the other's, or an endpoint is no HTTPS", () => {
  const refused: readonly (readonly [FederatedTrustDomain, RegExp])[] = [
    [declared({ ...web, urls: [] }), /at least one URL/],
    [declared({ ...web, urls: ["http://partner.example/"] }), /an https URL/],
    [declared({ ...web, urls: ["https://user@partner.example/"] }), /an https URL/],
    [declared({ ...web, urls: ["https://partner.example/#x"] }), /an https URL/],
    [declared({ ...web, urls: ["https://partner.example:0/"] }), /an https URL/],
    [declared({ ...web, urls: ["https://partner.example/", "https://partner.example/"] }), /differ/],
    [declared({ ...web, urls: Array.from({ length: 9 }, (_, at) => `https://partner.example/${at}`) }), /at most 8/],
    [declared({ ...web, spiffeId: "spiffe://partner.example/x" as SpiffeId }), /none with https_web/],
    [declared({ ...spiffe, webRootsPem: partner.root.certificatePem }, document), /nothing with https_spiffe/],
    [declared({ urls: spiffe.urls, profile: "https_spiffe" }, document), /SPIFFE ID with https_spiffe/],
    [declared({ ...spiffe, spiffeId: "spiffe://other.example/spire/server" as SpiffeId }, document), /of the trust domain itself/],
    [declared(spiffe), /by which the first fetch is verified/],
    [declared(web, "{}"), /JWKS/],
    [declared(web, undefined, "Partner_Example"), /a trust domain/],
  ];
  for (const [resource, words] of refused) {
    const outcome = parseResource(resource);
    expect(outcome.kind, JSON.stringify(resource)).toBe("faults");
    expect(JSON.stringify(outcome)).toMatch(words);
  }
});
