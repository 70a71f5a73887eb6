import { AtollError } from "#federation/runtime/errors.ts";
import { isSpiffeId, pathOf } from "#federation/model/spiffe-id.ts";
import type { SpiffeId } from "#federation/model/names.ts";
import { childrenOf, contentOf, contextChildrenOf, contextTagOf, dottedOf, oids, primitiveBytesOf, readDer, wholeBitsOf, writeDer, type DerNode } from "./der.ts";

/** Largest certificate that is read, in bytes. */
export const certificateLengthBytesMax = 16 * 1024;

/** What Atoll reads of a certificate by itself, from DER; signatures and chains are OpenSSL's work. */
export interface CertificateFields {
  readonly issuerDer: Buffer;
  readonly subjectDer: Buffer;
  readonly subjectEmpty: boolean;
  readonly spkiDer: Buffer;
  /** The Validity SEQUENCE as it stands. */
  readonly validity: DerNode;
  readonly extensions: ReadonlyMap<string, CertificateExtension>;
}

export interface CertificateExtension {
  readonly critical: boolean;
  readonly value: Buffer;
}

/** Bits of a key usage extension that Atoll asks about. */
export interface KeyUsage {
  readonly digitalSignature: boolean;
  readonly keyCertSign: boolean;
  readonly cRLSign: boolean;
}

/** Whether a certificate may stand for a SPIFFE identity, and for which. */
export type LeafReading = { readonly kind: "svid"; readonly spiffeId: SpiffeId } | { readonly kind: "refused"; readonly reason: string };

/** `readSvidLeaf`, or something that remembers what it said. */
export type ReadLeaf = (der: Buffer) => LeafReading;

/** Takes a certificate apart. @throws {ATOLL_CERTIFICATE_INVALID} on anything but a version 3 certificate with each extension at most once. */
export function readCertificate(der: Uint8Array): CertificateFields {
  if (der.length > certificateLengthBytesMax) throw invalid(`a certificate exceeds ${certificateLengthBytesMax} bytes`);
  const outer = childrenOf(readDer(der), "SEQUENCE");
  const fields = childrenOf(outer[0], "SEQUENCE");
  const [version, , , issuer, validity, subject, spki, ...rest] = fields;
  if (outer.length !== 3 || contextTagOf(version) !== 0 || validity === undefined || spki === undefined || issuer === undefined) {
    throw invalid("not an X.509 version 3 certificate");
  }
  const subjectParts = childrenOf(subject, "SEQUENCE");
  const extensionsHolder = rest.find((node) => contextTagOf(node) === 3);
  return {
    issuerDer: writeDer(issuer),
    subjectDer: writeDer(subject as DerNode),
    subjectEmpty: subjectParts.length === 0,
    spkiDer: writeDer(spki),
    validity,
    extensions: extensionsHolder === undefined ? new Map() : readExtensions(contextChildrenOf(extensionsHolder)[0]),
  };
}

function readExtensions(node: DerNode | undefined): ReadonlyMap<string, CertificateExtension> {
  const found = new Map<string, CertificateExtension>();
  for (const extension of childrenOf(node, "SEQUENCE")) {
    const parts = childrenOf(extension, "SEQUENCE");
    const name = dottedOf(parts[0]);
    const critical = parts.length === 3 && contentOf(parts[1], "BOOLEAN")[0] !== 0;
    if (found.has(name)) throw invalid(`the extension ${name} stands twice in a certificate`);
    found.set(name, { critical, value: contentOf(parts.at(-1), "OCTETSTRING") });
  }
  return found;
}

/** True when basic constraints say that this is a certificate authority. @throws {ATOLL_CERTIFICATE_INVALID} when they cannot be read. */
export function isAuthority(fields: CertificateFields): boolean {
  const extension = fields.extensions.get(oids.basicConstraints);
  if (extension === undefined) return false;
  const [first] = childrenOf(readDer(extension.value), "SEQUENCE");
  return first !== undefined && contentOf(first, "BOOLEAN")[0] !== 0;
}

/** The key usage, or undefined when the certificate has none. @throws {ATOLL_CERTIFICATE_INVALID} when it cannot be read. */
export function readKeyUsage(fields: CertificateFields): KeyUsage | undefined {
  const extension = fields.extensions.get(oids.keyUsage);
  if (extension === undefined) return undefined;
  const bits = contentOf(readDer(extension.value), "BITSTRING")[1] ?? 0;
  return { digitalSignature: (bits & 0x80) !== 0, keyCertSign: (bits & 0x04) !== 0, cRLSign: (bits & 0x02) !== 0 };
}

/** The extended key usages as dotted OIDs, or undefined when the certificate has none. @throws {ATOLL_CERTIFICATE_INVALID} */
export function readExtendedKeyUsages(fields: CertificateFields): readonly string[] | undefined {
  const extension = fields.extensions.get(oids.extendedKeyUsage);
  return extension === undefined ? undefined : childrenOf(readDer(extension.value), "SEQUENCE").map(dottedOf);
}

/** The content bytes of every URI among the subject alternative names. @throws {ATOLL_CERTIFICATE_INVALID} */
export function readUriNames(fields: CertificateFields): readonly Buffer[] {
  const extension = fields.extensions.get(oids.subjectAltName);
  if (extension === undefined) return [];
  const names = childrenOf(readDer(extension.value), "SEQUENCE");
  return names.filter((name) => contextTagOf(name) === 6).map(primitiveBytesOf);
}

/** The subject key identifier, or undefined when the certificate has none. @throws {ATOLL_CERTIFICATE_INVALID} */
export function readSubjectKeyId(fields: CertificateFields): Buffer | undefined {
  const extension = fields.extensions.get(oids.subjectKeyIdentifier);
  return extension === undefined ? undefined : contentOf(readDer(extension.value), "OCTETSTRING");
}

/** The bits of the public key, without their algorithm. @throws {ATOLL_CERTIFICATE_INVALID} */
export function publicKeyBits(spkiDer: Uint8Array): Buffer {
  return wholeBitsOf(childrenOf(readDer(spkiDer), "SEQUENCE")[1]);
}

/**
 * The SPIFFE ID of a leaf certificate, read from its DER and never from a printed form of its names, when the certificate keeps
 * the rules for X.509-SVID leaves: one URI name, an ID with a path, no authority, key usage critical with digitalSignature and
 * without keyCertSign and cRLSign, extended key usage with both TLS purposes when present, names critical under an empty subject.
 * @see https://github.com/spiffe/spiffe/blob/main/standards/X509-SVID.md
 */
export function readSvidLeaf(der: Uint8Array): LeafReading {
  try {
    const fields = readCertificate(der);
    const fault = faultOfKeyRules(fields);
    if (fault !== undefined) return { kind: "refused", reason: fault };
    const usages = readExtendedKeyUsages(fields);
    if (usages !== undefined && !(usages.includes(oids.serverAuth) && usages.includes(oids.clientAuth))) {
      return { kind: "refused", reason: "the certificate is not meant for both TLS client and TLS server" };
    }
    return readLeafIdentity(fields);
  } catch (error) {
    return { kind: "refused", reason: error instanceof AtollError ? error.message : "the certificate cannot be read" };
  }
}

/** The one SPIFFE ID with a path of a leaf. @throws {ATOLL_CERTIFICATE_INVALID} when the names cannot be read. */
export function readLeafIdentity(fields: CertificateFields): LeafReading {
  if (fields.subjectEmpty && fields.extensions.get(oids.subjectAltName)?.critical !== true) {
    return { kind: "refused", reason: "the subject is empty and the alternative names are not critical" };
  }
  const names = readUriNames(fields);
  const [name] = names;
  if (names.length !== 1 || name === undefined) return { kind: "refused", reason: `the certificate has ${names.length} URI names instead of one` };
  const text = name.toString("latin1");
  if (!isSpiffeId(text) || pathOf(text) === "") return { kind: "refused", reason: "the URI name is not the SPIFFE ID of a workload" };
  return { kind: "svid", spiffeId: text };
}

/** Why the certificate may not act as a leaf that signs handshakes, or undefined when it may. @throws {ATOLL_CERTIFICATE_INVALID} */
export function faultOfKeyRules(fields: CertificateFields): string | undefined {
  if (isAuthority(fields)) return "the certificate is an authority, not a leaf";
  const usage = readKeyUsage(fields);
  if (usage === undefined || fields.extensions.get(oids.keyUsage)?.critical !== true) return "the key usage is missing or not critical";
  if (!usage.digitalSignature || usage.keyCertSign || usage.cRLSign) return "the key usage does not fit a leaf";
  return undefined;
}

function invalid(message: string): AtollError {
  return new AtollError("ATOLL_CERTIFICATE_INVALID", message);
}
