/** Largest bundle document that is fetched of a trust domain outside of this federation, in bytes. */
export const federatedBundleBytesMax = 128 * 1024;

/** FederatedTrustDomains of one cluster: what is believed of each goes to every proxy. */
export const federatedTrustDomainsMax = 64;

/** Roots of one of them: as many as a bundle may have on its way to proxies. */
export const federatedRootsMax = 16;
