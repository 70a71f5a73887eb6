/** A cluster's status as an older plane answers: it says nothing of overloads, nor of what its instances do not reach. */
export const olderStatus = {
  cluster: "shop-eu",
  region: "eu-west",
  trustDomain: "shop.example",
  federation: "demo.atoll",
  asOfMs: 1,
  generation: { epoch: 1, revision: 1 },
  globalPlane: { connected: true, heardAgeMs: 0 },
  identity: { intermediateNotAfterMs: 1, signer: "own" },
  endpoints: { ready: 2, notReady: 0, unknown: 0 },
  services: [],
  proxies: [],
};
