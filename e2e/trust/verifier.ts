import { createSecureContext, type ConnectionOptions, type TlsOptions } from "node:tls";
import type { ReadLeaf } from "#federation/identity/certificate-reader.ts";
import { LeafReadings } from "#federation/identity/leaf-readings.ts";
import type { X509Svid } from "#federation/identity/svid.ts";
import { createClientTlsOptions, createServerIdentityCheck, type AcceptIdentity, type TlsMaterial } from "#federation/identity/tls-options.ts";
import type { TrustDomainName } from "#federation/model/names.ts";
import type { Snapshot } from "#federation/model/snapshot.ts";
import type { TrustBundle } from "#federation/model/trust-bundle.ts";
import { WatchedValue } from "#federation/runtime/watched.ts";
import { emptySnapshot } from "#proxy/control/snapshot-builder.ts";
import { TlsContexts } from "#proxy/tls/tls-contexts.ts";

/** What decides whom a process believes. */
export interface Verifier {
  /** Who shows `svid`, and lets workloads of every domain of `bundles` call. */
  serverMaterial(): TlsMaterial;
  /** For calling a server of `domain`. */
  clientOptions(domain: TrustDomainName, accept: AcceptIdentity): ConnectionOptions;
  readonly readLeaf: ReadLeaf;
  /** Over what is shipped. */
  readonly listening: TlsOptions;
  readonly acceptOf: (accept: AcceptIdentity) => AcceptIdentity;
  /** Other bundles are believed from now on. */
  update(bundles: readonly TrustBundle[]): void;
}

/** Replaces parts of what is shipped, to see that the matrix finds it. */
export interface PlantedFault {
  /** In place of the constrained anchors. */
  readonly anchors?: (bundles: readonly TrustBundle[]) => readonly string[];
  readonly readLeaf?: ReadLeaf;
  readonly acceptOf?: (accept: AcceptIdentity) => AcceptIdentity;
  readonly listening?: TlsOptions;
  readonly isUpdateIgnored?: true;
}

/** The proxy's own contexts, as shipped but for `fault`. */
export function createVerifier(svid: X509Svid, initial: readonly TrustBundle[], fault: PlantedFault = {}): Verifier {
  const snapshot = new WatchedValue(snapshotOf(initial));
  const contexts = new TlsContexts(new WatchedValue<X509Svid | undefined>(svid), snapshot);
  const leaves = new LeafReadings();
  const { anchors, readLeaf = (der) => leaves.read(der), acceptOf = (accept) => accept, listening = {} } = fault;
  const bundlesOf = (): readonly TrustBundle[] => [...snapshot.current.bundles.values()];
  return {
    readLeaf,
    acceptOf,
    listening,
    serverMaterial() {
      const material = contexts.serverMaterial();
      if (material === undefined) throw new Error("there is no SVID");
      return anchors === undefined ? material : { svid, anchors: anchors(bundlesOf()) };
    },
    clientOptions(domain, accept) {
      const context = anchors === undefined ? contexts.clientContext(domain) : createSecureContext(createClientTlsOptions({ svid, anchors: anchors(bundlesOf().filter(({ trustDomain }) => trustDomain === domain)), accept }));
      if (context === undefined) throw new Error(`there is no bundle of ${domain}`);
      return { secureContext: context, minVersion: "TLSv1.3", servername: "", rejectUnauthorized: true, checkServerIdentity: createServerIdentityCheck(acceptOf(accept), readLeaf) };
    },
    update(bundles) {
      if (fault.isUpdateIgnored !== true) snapshot.set(snapshotOf(bundles));
    },
  };
}

function snapshotOf(bundles: readonly TrustBundle[]): Snapshot {
  const callers = bundles.map(({ trustDomain }) => ({ trustDomain, principals: ["*"] as const }));
  const inbound = new Map([["http", { ref: {}, port: {}, callers }]]) as unknown as Snapshot["inbound"];
  return { ...emptySnapshot, bundles: new Map(bundles.map((bundle) => [bundle.trustDomain, bundle])), inbound };
}
