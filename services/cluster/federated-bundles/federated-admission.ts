import type { Admission } from "#federation/admin-api/resource-routes.ts";
import { parseX509 } from "#federation/identity/authority.ts";
import { parseBundle } from "#federation/identity/bundle-jwks.ts";
import { chainLengthMax, parseChainPem } from "#federation/identity/pem.ts";
import { federatedTrustDomainsMax } from "#federation/model/federated-trust-domain.ts";
import type { TrustDomainName } from "#federation/model/names.ts";
import { AtollError } from "#federation/runtime/errors.ts";
import { faultOfBundle } from "./accept-fetched.ts";

export interface FederatedAdmissionOptions {
  /** Those that there are, by trust domain. */
  readonly present: () => Pick<ReadonlyMap<string, unknown>, "size" | "has">;
  readonly isOwn: (name: TrustDomainName) => boolean;
}

/** Refuses what could never be believed, before it is stored. */
export function federatedAdmission({ present, isOwn }: FederatedAdmissionOptions): Admission<"FederatedTrustDomain"> {
  return {
    async apply({ metadata, spec }) {
      const name = metadata.name as TrustDomainName;
      if (isOwn(name)) throw invalid(`metadata.name: ${name} is a trust domain of this federation, which speaks by its own authority`);
      const federated = present();
      if (federated.size >= federatedTrustDomainsMax && !federated.has(name)) throw new AtollError("ATOLL_STORE_FULL", `this cluster has ${federated.size} federated trust domains, and ${federatedTrustDomainsMax} are allowed: delete those that nobody needs`);
      const { trustDomainBundle, bundleEndpoint } = spec;
      // One that cannot be read is refused by its reader.
      const fault = trustDomainBundle === undefined ? undefined : faultOfBundle(parseBundle(trustDomainBundle, name));
      if (fault !== undefined) throw invalid(`spec.trustDomainBundle: ${fault.message}`);
      if (bundleEndpoint.webRootsPem !== undefined) checkRoots(bundleEndpoint.webRootsPem);
    },
  };
}

function checkRoots(pem: string): void {
  try {
    for (const der of parseChainPem(pem)) parseX509(der);
  } catch (cause) {
    throw new AtollError("ATOLL_RESOURCE_INVALID", `spec.bundleEndpoint.webRootsPem: not 1 to ${chainLengthMax} certificates in PEM`, { cause });
  }
}

function invalid(message: string): AtollError {
  return new AtollError("ATOLL_RESOURCE_INVALID", message);
}
