import { existsSync, readFileSync } from "node:fs";
import { isIP } from "node:net";
import { join } from "node:path";
import { parseAdminContext, type AdminContext } from "#federation/admin-api/admin-context.ts";
import { createAnchors } from "#federation/identity/anchors.ts";
import { createAuthority, createIssuer, createRoot, type Issuer } from "#federation/identity/authority.ts";
import { createKeyPair, exportPrivateKeyPem, parseKeyPair, type KeyPair } from "#federation/identity/key-pair.ts";
import { notBeforeSkewMs } from "#federation/identity/certificate-writer.ts";
import { createX509Svid, issueSigningCertificate, issueSvid, type SvidOptions } from "#federation/identity/leaf.ts";
import { chainPem, parseChainPem } from "#federation/identity/pem.ts";
import type { X509Svid } from "#federation/identity/svid.ts";
import { engineCommonName, etcdAdministrator } from "#federation/model/engine-identity.ts";
import { planeCommonName, planeStoreHost } from "#federation/model/plane-store.ts";
import { globalOrigin } from "#federation/model/replicated-object.ts";
import type { AuthorityCertificate } from "#federation/model/authority-certificate.ts";
import { createSpiffeId, parseTrustDomainName } from "#federation/model/spiffe-id.ts";
import { parseLabel, type TrustDomainName } from "#federation/model/names.ts";
import type { TrustBundle } from "#federation/model/trust-bundle.ts";
import { AtollError } from "#federation/runtime/errors.ts";
import { writePrivateFileSync } from "#federation/runtime/private-file.ts";
import type { ObjectSigner } from "#federation/wire/signed-object.ts";
import { hasServed, keyFiles, readFederationName, readKeyFile, useKeyFiles } from "./federation-key-files.ts";
import { certifyIssuing, IssuingCertificate } from "./issuing-certificate.ts";
import { authorityRow, firstCertificate } from "./trust/authority-rows.ts";

const dayMs = 86_400_000;
const rootValidityMs = 3_650 * dayMs;
/** Who is a client is in its SPIFFE ID; etcd, which looks at common names alone, must not take one for a plane. */
const clientCommonName = "client";
/** Planes, engines and administrators; DESIGN §7. */
export const planeValidityMs = 30 * dayMs;
/** A certificate of a short life begins no further back than this part of it, or what is left of it would say nothing. */
const skewOfLifeRatio = 0.25;

/**
 * Makes the keys of a new federation: root, authority, and the intermediate that issues day by day.
 * @throws {ATOLL_CONFIG_INVALID} when the directory holds a federation already; nothing is ever overwritten.
 */
export function initFederation(dataDir: string, name: string, nowMs: number): void {
  const trustDomain = parseTrustDomainName(name);
  if (existsSync(join(dataDir, keyFiles.name))) throw new AtollError("ATOLL_CONFIG_INVALID", `${dataDir} holds a federation already; it is never overwritten`);
  // Another root would be a federation that nobody belongs to.
  if (hasServed(dataDir)) throw new AtollError("ATOLL_CONFIG_INVALID", `${dataDir} is that of a global plane that has run, and ${keyFiles.name} is missing; put it back from a copy`);
  const root = createRoot({ trustDomain, validityMs: rootValidityMs, nowMs });
  const authority = createAuthority({ trustDomain, validityMs: rootValidityMs, nowMs });
  const keys = createKeyPair();
  const issuing = certifyIssuing(createIssuer(root.certificatePem, root.privateKeyPem), { trustDomain, publicKey: keys.publicKey, nowMs });
  writePair(dataDir, keyFiles.root, root.certificatePem, root.privateKeyPem);
  writePair(dataDir, keyFiles.authority, authority.certificatePem, authority.privateKeyPem);
  writePair(dataDir, keyFiles.issuing, chainPem(issuing), exportPrivateKeyPem(keys.privateKey));
  // Written last: its presence says that all of them are there.
  writePrivateFileSync(join(dataDir, keyFiles.name), JSON.stringify({ federation: trustDomain }));
}

const pairOf = (name: string): readonly string[] => [`${name}.key`, `${name}.pem`];

function writePair(dataDir: string, name: string, certificatePem: string, privateKeyPem: string): void {
  writePrivateFileSync(join(dataDir, `${name}.key`), privateKeyPem);
  writePrivateFileSync(join(dataDir, `${name}.pem`), certificatePem);
}

export interface FederationKeysOptions {
  /** Where engines' files are written; `engines` in the keys' directory unless told. */
  readonly enginesDir?: string;
  /** Hears why an issuing certificate that was written meanwhile cannot be used; the one before goes on. */
  readonly onIssuingRefused?: (reason: string) => void;
}

/** The keys by which the global plane vouches for planes, engines and administrators, and signs what it publishes. */
export class FederationKeys {
  readonly trustDomain: TrustDomainName;
  readonly rootPem: string;
  readonly authorityPem: string;
  readonly #dataDir: string;
  readonly #enginesDir: string;
  readonly #issuing: IssuingCertificate;

  private constructor(dataDir: string, { enginesDir = join(dataDir, "engines"), onIssuingRefused = () => undefined }: FederationKeysOptions) {
    this.#dataDir = dataDir;
    this.#enginesDir = enginesDir;
    this.trustDomain = readFederationName(dataDir);
    this.rootPem = readKeyFile(dataDir, `${keyFiles.root}.pem`);
    this.authorityPem = readKeyFile(dataDir, `${keyFiles.authority}.pem`);
    for (const [name, pem] of [[keyFiles.root, this.rootPem], [keyFiles.authority, this.authorityPem]] as const) useKeyFiles(dataDir, [`${name}.pem`], () => parseChainPem(pem));
    this.#issuing = useKeyFiles(dataDir, pairOf(keyFiles.issuing), () => new IssuingCertificate(dataDir, this.rootPem, onIssuingRefused));
  }

  /** @throws {ATOLL_CONFIG_INVALID} when `dataDir` holds no federation; {ATOLL_CERTIFICATE_INVALID} when what it issues by cannot be used. */
  static load(dataDir: string, options: FederationKeysOptions = {}): FederationKeys {
    return new FederationKeys(dataDir, options);
  }

  /** The federation's bundle: what every plane's certificate leads up to. */
  get bundle(): TrustBundle {
    return { trustDomain: this.trustDomain, sequence: 1, refreshHintSeconds: 300, x509Authorities: parseChainPem(this.rootPem) };
  }

  /** What everybody's trust in the federation ends with: its root, its authority, and what is issued by day by day, as it lies there at that time. */
  authoritiesAt(nowMs: number): readonly AuthorityCertificate[] {
    const { trustDomain } = this;
    return [authorityRow("issuing", trustDomain, this.#issuing.certificateAt(nowMs)), authorityRow("root", trustDomain, firstCertificate(this.rootPem)), authorityRow("authority", trustDomain, firstCertificate(this.authorityPem))];
  }

  /**
   * Certifies a public key as a name of the federation's own trust domain, for 30 days unless told, and for no longer than what it is issued by;
   * DER, leaf first, without the root.
   * @throws {ATOLL_CERTIFICATE_INVALID} when that has ended
   */
  issue(options: Omit<SvidOptions, "validityMs"> & { readonly validityMs?: number }): readonly Uint8Array[] {
    return issueSvid(this.#livingIssuer(options.nowMs), { ...options, validityMs: options.validityMs ?? planeValidityMs });
  }

  /** A new key and certificate of the global plane itself; one that has ended where what it is issued by has: those who ask for no certificate go on. */
  issuePlane(address: string, nowMs: number): X509Svid {
    return this.#issueNew(["atoll", "plane", "global"], nowMs, { commonName: planeCommonName(globalOrigin), ...hostNames([address, "127.0.0.1", "localhost", planeStoreHost(globalOrigin)]) });
  }

  /** A new signing key for what the global plane publishes; needs the authority's key to be here. */
  issueSigner(nowMs: number): ObjectSigner {
    const authority = useKeyFiles(this.#dataDir, pairOf(keyFiles.authority), () => createIssuer(this.authorityPem, readKeyFile(this.#dataDir, `${keyFiles.authority}.key`)));
    const { privateKey, publicKey } = createKeyPair();
    const spiffeId = createSpiffeId(this.trustDomain, "atoll", "signing", "global");
    const [authorityDer = new Uint8Array()] = parseChainPem(this.authorityPem);
    const chain = issueSigningCertificate(authority, authorityDer, { spiffeId, publicKey, validityMs: planeValidityMs, nowMs });
    return { privateKey, chain };
  }

  /** Writes the context by which the command line reaches the plane at `server` as a local administrator. */
  writeAdminContext(server: string, nowMs: number): void {
    const admin = this.#issueNew(["atoll", "admin", "local"], nowMs, { commonName: "admin" });
    writePrivateFileSync(join(this.#dataDir, keyFiles.adminContext), contextText(this, server, admin));
  }

  /**
   * Writes a context for a machine client, whose roles the planes' configuration binds to `spiffe://<federation>/atoll/client/<name>`; answers its path.
   * Unless told, the server is the one of the administrator's context, and empty before the plane has run once.
   * @throws {ATOLL_NAME_INVALID}; {ATOLL_CONFIG_INVALID} for a server that is no `host:port`
   */
  writeClientContext(name: string, nowMs: number, server = this.#administratorsServer()): string {
    this.#livingIssuer(nowMs);
    const client = this.#issueNew(["atoll", "client", parseLabel(name, "client")], nowMs, { commonName: clientCommonName });
    const path = join(this.#dataDir, "clients", `${name}.json`);
    const text = contextText(this, server, client);
    parseAdminContext(text);
    writePrivateFileSync(path, text);
    return path;
  }

  #administratorsServer(): string {
    const adminFile = join(this.#dataDir, keyFiles.adminContext);
    return existsSync(adminFile) ? parseAdminContext(readFileSync(adminFile, "utf8")).server : "";
  }

  /**
   * Writes key, certificate and CA of an engine (etcd, nats-server) that answers on `hosts` into `engines/`. Members of one engine
   * have its name in their certificates, by which they know each other, and each a key of its own, in files named as the member.
   * A key that is there stays, so that an engine that reads the files meanwhile never finds a pair that does not fit.
   */
  writeEngine(name: string, member: string, hosts: readonly string[], nowMs: number, validityMs = planeValidityMs): void {
    this.#writeFiles(member, ["atoll", "engine", name], { nowMs, validityMs, commonName: engineCommonName(name), ...hostNames(hosts) });
  }

  /**
   * Writes key and certificate of etcd's administrator into `engines/`, which belongs where the federation's keys are and on no machine of its own.
   * Etcds of one plane alone let it in for `planes`.
   */
  writeEtcdAdministrator(planes: readonly string[], nowMs: number, validityMs = planeValidityMs): void {
    this.#writeFiles(etcdAdministrator, ["atoll", etcdAdministrator], { nowMs, validityMs, commonName: etcdAdministrator, dnsNames: planes.map(planeStoreHost) });
  }

  #writeFiles(name: string, path: readonly string[], options: Omit<SvidOptions, "spiffeId" | "publicKey">): void {
    const directory = this.#enginesDir;
    const keyFile = join(directory, `${name}.key`);
    const kept = keptKeys(keyFile);
    const keys = kept ?? createKeyPair();
    const skewMs = Math.min(notBeforeSkewMs, options.validityMs * skewOfLifeRatio);
    const { privateKeyPem, certificateChainPem } = createX509Svid(this.issue({ ...options, skewMs, spiffeId: createSpiffeId(this.trustDomain, ...path), publicKey: keys.publicKey }), exportPrivateKeyPem(keys.privateKey));
    if (kept === undefined) writePrivateFileSync(keyFile, privateKeyPem);
    writePrivateFileSync(join(directory, `${name}.pem`), certificateChainPem);
    writePrivateFileSync(join(directory, "ca.pem"), this.rootPem);
  }

  #livingIssuer(nowMs: number): Issuer {
    const issuer = this.#issuing.issuerAt(nowMs);
    if (issuer.notAfterMs > nowMs) return issuer;
    throw new AtollError("ATOLL_CERTIFICATE_INVALID", `nothing is issued any more: the federation's issuing certificate ended on ${new Date(issuer.notAfterMs).toISOString()}; \`atoll renew-issuing\` makes another, where the root's key is`);
  }

  #issueNew(path: readonly string[], nowMs: number, names: Pick<SvidOptions, "commonName" | "dnsNames" | "ipAddresses">): X509Svid {
    const { privateKey, publicKey } = createKeyPair();
    const chain = issueSvid(this.#issuing.issuerAt(nowMs), { spiffeId: createSpiffeId(this.trustDomain, ...path), publicKey, validityMs: planeValidityMs, nowMs, ...names });
    return createX509Svid(chain, exportPrivateKeyPem(privateKey));
  }
}

/** The keys of an earlier certificate; none where nobody can read them, and others are made then. */
function keptKeys(keyFile: string): KeyPair | undefined {
  try {
    return parseKeyPair(readFileSync(keyFile, "utf8"));
  } catch {
    return undefined;
  }
}

function contextText(keys: FederationKeys, server: string, credential: X509Svid): string {
  const context: AdminContext = {
    server,
    federation: keys.trustDomain,
    caPem: createAnchors([keys.bundle]).join(""),
    certificatePem: credential.certificateChainPem,
    privateKeyPem: credential.privateKeyPem,
  };
  return JSON.stringify(context, undefined, 2);
}

/** Hosts told apart as engines need them in certificates: literal addresses and DNS names. */
export function hostNames(hosts: readonly string[]): { readonly dnsNames: readonly string[]; readonly ipAddresses: readonly string[] } {
  const distinct = [...new Set(hosts)];
  return { dnsNames: distinct.filter((host) => isIP(host) === 0), ipAddresses: distinct.filter((host) => isIP(host) !== 0) };
}
