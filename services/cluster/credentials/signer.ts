import { join } from "node:path";
import { createAuthority, createIssuer, createRoot, issueIntermediate, type Issuer } from "#federation/identity/authority.ts";
import { encodeBundle } from "#federation/identity/bundle-jwks.ts";
import { publicKeyFromCsr } from "#federation/identity/csr.ts";
import { parseKeyPair } from "#federation/identity/key-pair.ts";
import { issueSigningCertificate } from "#federation/identity/leaf.ts";
import { parseChainPem } from "#federation/identity/pem.ts";
import type { TrustDomainStatement } from "#federation/admin-api/join-contract.ts";
import type { TrustDomainName } from "#federation/model/names.ts";
import type { RelationshipApproval, Relationship, RelationshipSide } from "#federation/model/resource.ts";
import { relationshipSigningInput, trustDomainSigningInput } from "#federation/model/signing-input.ts";
import { createSpiffeId } from "#federation/model/spiffe-id.ts";
import { AtollError } from "#federation/runtime/errors.ts";
import { signP256 } from "#federation/runtime/p256-signature.ts";
import type { TrustBundle } from "#federation/model/trust-bundle.ts";
import type { ClusterCredentials } from "#federation/wire/signer-messages.ts";
import type { RotationStep } from "#federation/model/root-rotation.ts";
import { mapWatched, type Watched } from "#federation/runtime/watched.ts";
import { readKeyFiles, writeKeyFiles, type KeyFiles } from "./key-files.ts";
import { hasServed } from "./plane-membership.ts";
import { advanceRoots, type SignerRoots } from "./root-rotation.ts";
import { hasRotated, RootsFile } from "./signer-roots.ts";

const dayMs = 86_400_000;
/** DESIGN §7: a week of issuing without the signer, since renewal begins at half of it. */
export const intermediateValidityMs = 14 * dayMs;
/** DESIGN §6. */
export const signingValidityMs = 30 * dayMs;
const rootValidityMs = 3_650 * dayMs;

/** The keys that stay with a trust domain's team: its root, and the authority that speaks for the domain. */
export class TrustDomainSigner {
  readonly trustDomain: TrustDomainName;
  readonly authorityCertificatePem: string;
  readonly #roots: RootsFile;
  readonly #authority: Issuer;
  readonly #authorityKeyPem: string;

  private constructor(trustDomain: TrustDomainName, directory: string) {
    const authority = readOwn(directory, "authority");
    this.trustDomain = trustDomain;
    this.authorityCertificatePem = authority.certificatePem;
    this.#roots = RootsFile.open(trustDomain, directory);
    this.#authority = createIssuer(authority.certificatePem, authority.privateKeyPem);
    this.#authorityKeyPem = authority.privateKeyPem;
  }

  /**
   * Reads the keys below `dataDir`, or makes them at the first start, and never after that: another root in the place of one that got lost
   * would end every identity of the trust domain.
   * @throws {ATOLL_CONFIG_INVALID} when some of a plane that has joined are missing or damaged
   */
  static open(trustDomain: TrustDomainName, dataDir: string, nowMs: number): TrustDomainSigner {
    const directory = join(dataDir, "signer");
    const options = { trustDomain, validityMs: rootValidityMs, nowMs };
    if (!hasServed(dataDir)) {
      if (!hasRotated(directory) && readKeyFiles(directory, "root") === undefined) writeKeyFiles(directory, "root", createRoot(options));
      if (readKeyFiles(directory, "authority") === undefined) writeKeyFiles(directory, "authority", createAuthority(options));
    }
    try {
      return new TrustDomainSigner(trustDomain, directory);
    } catch (error) {
      throw new AtollError("ATOLL_CONFIG_INVALID", `${directory} does not hold the root and the authority of ${trustDomain} whole; put root.key, root.pem (or, after a rotation, the newest roots.json), authority.key and authority.pem back from a copy`, { cause: error });
    }
  }

  get bundle(): TrustBundle {
    const { roots, believed } = this.#roots.current.current;
    return { trustDomain: this.trustDomain, sequence: roots.sequence, refreshHintSeconds: 300, x509Authorities: believed };
  }

  /** Where the rotation of the root stands; what is told of the trust domain is another when this is. */
  get roots(): Watched<SignerRoots> {
    return mapWatched(this.#roots.current, ({ roots }) => roots);
  }

  /**
   * Takes the next step of a rotation; it is on the disk when this returns.
   * @throws {ATOLL_ROTATION_OUT_OF_STEP} as `advanceRoots`, and what the disk says: then nothing has changed
   */
  rotate(wanted: { readonly step: RotationStep; readonly sequence: number }, nowMs: number): void {
    const makeRoot = (): KeyFiles => {
      const { certificatePem, privateKeyPem } = createRoot({ trustDomain: this.trustDomain, validityMs: rootValidityMs, nowMs });
      return { certificatePem, privateKeyPem };
    };
    this.#roots.replace(advanceRoots(this.roots.current, wanted, makeRoot));
  }

  /** What the federation is told of this trust domain, in its authority's own words. */
  statement(): TrustDomainStatement {
    const bundle = encodeBundle(this.bundle);
    return {
      authorityCertificatePem: this.authorityCertificatePem,
      bundle,
      bundleSignature: this.#sign(trustDomainSigningInput(this.trustDomain, bundle)),
    };
  }

  /** Certifies a cluster's intermediate and its signing key. Names come from `cluster`, of the requests only the public keys are taken. */
  certify(cluster: string, intermediateCsr: Uint8Array, signingCsr: Uint8Array, nowMs: number): ClusterCredentials {
    const intermediateChain = issueIntermediate(this.#roots.current.current.issuer, {
      trustDomain: this.trustDomain,
      name: cluster,
      publicKey: publicKeyFromCsr(intermediateCsr),
      validityMs: intermediateValidityMs,
      nowMs,
    });
    const [authorityDer = new Uint8Array()] = parseChainPem(this.authorityCertificatePem);
    const signingChain = issueSigningCertificate(this.#authority, authorityDer, {
      spiffeId: createSpiffeId(this.trustDomain, "atoll", "signing", cluster),
      publicKey: publicKeyFromCsr(signingCsr),
      validityMs: signingValidityMs,
      nowMs,
    });
    return { intermediateChain, signingChain, authorityCertificate: authorityDer, bundle: Buffer.from(encodeBundle(this.bundle)) };
  }

  /** Consents to exactly the present form of `relationship`. */
  approve(relationship: Relationship, side: RelationshipSide, nowMs: number): RelationshipApproval {
    const signature = this.#sign(relationshipSigningInput(relationship.metadata.name, relationship.spec));
    return { side, signature, approvedAt: new Date(nowMs).toISOString() };
  }

  #sign(input: Uint8Array): string {
    const { privateKey } = parseKeyPair(this.#authorityKeyPem);
    return Buffer.from(signP256(input, privateKey)).toString("base64url");
  }
}

function readOwn(directory: string, name: string): KeyFiles {
  const files = readKeyFiles(directory, name);
  if (files === undefined) throw new Error(`${name}.pem is missing`);
  return files;
}
