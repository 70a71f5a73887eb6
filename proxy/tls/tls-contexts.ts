import { createSecureContext, type SecureContext } from "node:tls";
import { createAnchors } from "#federation/identity/anchors.ts";
import type { X509Svid } from "#federation/identity/svid.ts";
import { createClientTlsOptions, type TlsMaterial } from "#federation/identity/tls-options.ts";
import type { TrustDomainName } from "#federation/model/names.ts";
import type { Snapshot } from "#federation/model/snapshot.ts";
import { trustDomainOf } from "#federation/model/spiffe-id.ts";
import type { TrustBundle } from "#federation/model/trust-bundle.ts";
import type { Watched } from "#federation/runtime/watched.ts";

interface ClientEntry {
  readonly svid: X509Svid;
  readonly bundle: TrustBundle;
  readonly context: SecureContext;
}

interface ServerEntry {
  readonly svid: X509Svid;
  readonly bundles: readonly TrustBundle[];
  readonly material: TlsMaterial;
}

/**
 * TLS contexts of this process, made when first needed and again when the SVID or the roots of a bundle have changed. A dialer's
 * context holds the anchors of the one trust domain that it calls; the inbound side's those of every domain that may call.
 */
export class TlsContexts {
  readonly #svid: Watched<X509Svid | undefined>;
  readonly #snapshot: Watched<Snapshot>;
  /** Bounded by the bundles of the snapshot: entries of domains that left it are dropped. */
  readonly #clients = new Map<TrustDomainName, ClientEntry>();
  #server: ServerEntry | undefined;

  constructor(svid: Watched<X509Svid | undefined>, snapshot: Watched<Snapshot>) {
    this.#svid = svid;
    this.#snapshot = snapshot;
  }

  /** For calling servers of `trustDomain`; undefined without a valid SVID or without that domain's bundle. */
  clientContext(trustDomain: TrustDomainName): SecureContext | undefined {
    const svid = this.#svid.current;
    const bundle = this.#snapshot.current.bundles.get(trustDomain);
    if (svid === undefined || bundle === undefined) {
      this.#clients.delete(trustDomain);
      return undefined;
    }
    const held = this.#clients.get(trustDomain);
    if (held !== undefined && held.svid === svid && hasSameRoots(held.bundle, bundle)) return held.context;
    // The identity check belongs to the connection; the context holds keys and anchors only.
    const context = createSecureContext(createClientTlsOptions({ svid, anchors: createAnchors([bundle]), accept: () => false }));
    for (const known of this.#clients.keys()) if (!this.#snapshot.current.bundles.has(known)) this.#clients.delete(known);
    this.#clients.set(trustDomain, { svid, bundle, context });
    return context;
  }

  /** What the inbound side shows and believes; undefined without a valid SVID. The same object until something changes. */
  serverMaterial(): TlsMaterial | undefined {
    const svid = this.#svid.current;
    if (svid === undefined) return undefined;
    const bundles = orderedBundles(this.#snapshot.current, svid);
    const held = this.#server;
    if (held !== undefined && held.svid === svid && sameList(held.bundles, bundles)) return held.material;
    const material: TlsMaterial = { svid, anchors: createAnchors(bundles) };
    this.#server = { svid, bundles, material };
    return material;
  }
}

/** Domains that may call some port here, one's own first, so that no foreign bundle can stand in its way. */
function orderedBundles(snapshot: Snapshot, svid: X509Svid): readonly TrustBundle[] {
  const own = trustDomainOf(svid.spiffeId);
  const callers = new Set<TrustDomainName>([own]);
  for (const inbound of snapshot.inbound.values()) for (const rule of inbound.callers) callers.add(rule.trustDomain);
  return [...callers].flatMap((trustDomain) => snapshot.bundles.get(trustDomain) ?? []);
}

function sameList(left: readonly TrustBundle[], right: readonly TrustBundle[]): boolean {
  return left.length === right.length && left.every((bundle, index) => hasSameRoots(bundle, right[index]));
}

/** Keys of JWT-SVIDs come and go without: a bundle that differs in those alone keeps the list of its roots. */
function hasSameRoots(left: TrustBundle, right: TrustBundle | undefined): boolean {
  return left.x509Authorities === right?.x509Authorities;
}
