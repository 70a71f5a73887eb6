import type forge from "node-forge";
import asn1 from "node-forge/lib/asn1.js";
import { AtollError } from "#federation/runtime/errors.ts";

/** One ASN.1 value as node-forge keeps it. Only its ASN.1 is used: forge's PKI layer knows no elliptic curves. */
export type DerNode = forge.asn1.Asn1;

const { Class, Type } = asn1;

/** `asn1.create` as it is: its types know only universal tags, but context tags are any small number. */
const createTagged: (tagClass: forge.asn1.Class, tag: number, constructed: boolean, value: string | DerNode[]) => DerNode = asn1.create;

/** Object identifiers that Atoll's certificates use. @see https://www.rfc-editor.org/rfc/rfc5280 */
export const oids = {
  ecdsaWithSha256: "1.2.840.10045.4.3.2",
  commonName: "2.5.4.3",
  subjectKeyIdentifier: "2.5.29.14",
  keyUsage: "2.5.29.15",
  subjectAltName: "2.5.29.17",
  basicConstraints: "2.5.29.19",
  nameConstraints: "2.5.29.30",
  authorityKeyIdentifier: "2.5.29.35",
  extendedKeyUsage: "2.5.29.37",
  serverAuth: "1.3.6.1.5.5.7.3.1",
  clientAuth: "1.3.6.1.5.5.7.3.2",
  codeSigning: "1.3.6.1.5.5.7.3.3",
} as const;

/** Reads exactly one DER value. @throws {ATOLL_CERTIFICATE_INVALID} on anything else, trailing bytes included. */
export function readDer(bytes: Uint8Array): DerNode {
  try {
    // Bit strings stay opaque, so that what is read is written back byte for byte. The types know only `strict`.
    const options = { strict: true, parseAllBytes: true, decodeBitStrings: false } as unknown as boolean;
    return asn1.fromDer(binaryOf(bytes), options);
  } catch (error) {
    throw new AtollError("ATOLL_CERTIFICATE_INVALID", "not DER", { cause: error });
  }
}

/** The bytes of `node`. */
export function writeDer(node: DerNode): Buffer {
  return Buffer.from(asn1.toDer(node).getBytes(), "latin1");
}

/** A SEQUENCE. */
export function sequence(...children: readonly DerNode[]): DerNode {
  return asn1.create(Class.UNIVERSAL, Type.SEQUENCE, true, [...children]);
}

/** A SET of one, as names need it. */
export function setOf(child: DerNode): DerNode {
  return asn1.create(Class.UNIVERSAL, Type.SET, true, [child]);
}

/** An OBJECT IDENTIFIER. */
export function oid(dotted: string): DerNode {
  return asn1.create(Class.UNIVERSAL, Type.OID, false, asn1.oidToDer(dotted).getBytes());
}

/** An INTEGER from big-endian bytes whose top bit is clear. */
export function integer(bytes: Uint8Array): DerNode {
  return asn1.create(Class.UNIVERSAL, Type.INTEGER, false, binaryOf(bytes));
}

/** BOOLEAN TRUE; FALSE is a default and never written in DER. */
export function booleanTrue(): DerNode {
  return asn1.create(Class.UNIVERSAL, Type.BOOLEAN, false, "\xff");
}

/** An OCTET STRING. */
export function octetString(bytes: Uint8Array): DerNode {
  return asn1.create(Class.UNIVERSAL, Type.OCTETSTRING, false, binaryOf(bytes));
}

/** A BIT STRING whose last byte leaves `unusedBits` unused. */
export function bitString(bytes: Uint8Array, unusedBits = 0): DerNode {
  return asn1.create(Class.UNIVERSAL, Type.BITSTRING, false, String.fromCharCode(unusedBits) + binaryOf(bytes));
}

/** A UTF8String. */
export function utf8String(text: string): DerNode {
  return asn1.create(Class.UNIVERSAL, Type.UTF8, false, Buffer.from(text, "utf8").toString("latin1"));
}

/** A context-specific primitive value, `[tag] IMPLICIT`. */
export function contextPrimitive(tag: number, bytes: Uint8Array): DerNode {
  return createTagged(Class.CONTEXT_SPECIFIC, tag, false, binaryOf(bytes));
}

/** A context-specific constructed value, `[tag]`. */
export function contextConstructed(tag: number, ...children: readonly DerNode[]): DerNode {
  return createTagged(Class.CONTEXT_SPECIFIC, tag, true, [...children]);
}

/** A Time of RFC 5280 §4.1.2.5: UTCTime before 2050, GeneralizedTime from then on; whole seconds. */
export function time(atMs: number): DerNode {
  const date = new Date(atMs);
  if (date.getUTCFullYear() < 2050) return asn1.create(Class.UNIVERSAL, Type.UTCTIME, false, asn1.dateToUtcTime(date));
  return asn1.create(Class.UNIVERSAL, Type.GENERALIZEDTIME, false, asn1.dateToGeneralizedTime(date));
}

/** The children of a universal constructed value of `type`. @throws {ATOLL_CERTIFICATE_INVALID} when it is something else. */
export function childrenOf(node: DerNode | undefined, type: "SEQUENCE" | "SET"): readonly DerNode[] {
  if (node === undefined || node.tagClass !== Class.UNIVERSAL || node.type !== Type[type] || !Array.isArray(node.value)) {
    throw new AtollError("ATOLL_CERTIFICATE_INVALID", `expected an ASN.1 ${type}`);
  }
  return node.value;
}

/** The content bytes of a universal primitive value of `type`. @throws {ATOLL_CERTIFICATE_INVALID} when it is something else. */
export function contentOf(node: DerNode | undefined, type: "INTEGER" | "BITSTRING" | "OCTETSTRING" | "OID" | "BOOLEAN"): Buffer {
  if (node === undefined || node.tagClass !== Class.UNIVERSAL || node.type !== Type[type] || typeof node.value !== "string") {
    throw new AtollError("ATOLL_CERTIFICATE_INVALID", `expected an ASN.1 ${type}`);
  }
  return Buffer.from(node.value, "latin1");
}

/** The bits of a BIT STRING that ends on a byte boundary. @throws {ATOLL_CERTIFICATE_INVALID} */
export function wholeBitsOf(node: DerNode | undefined): Buffer {
  const content = contentOf(node, "BITSTRING");
  if (content.length === 0 || content[0] !== 0) throw new AtollError("ATOLL_CERTIFICATE_INVALID", "a bit string does not end on a byte");
  return content.subarray(1);
}

/** The dotted form of an OBJECT IDENTIFIER. @throws {ATOLL_CERTIFICATE_INVALID} */
export function dottedOf(node: DerNode | undefined): string {
  const content = contentOf(node, "OID");
  if (content.length === 0) throw new AtollError("ATOLL_CERTIFICATE_INVALID", "an object identifier is empty");
  return asn1.derToOid(content.toString("latin1"));
}

/** The tag of a context-specific value, or undefined for any other. */
export function contextTagOf(node: DerNode | undefined): number | undefined {
  return node?.tagClass === Class.CONTEXT_SPECIFIC ? node.type : undefined;
}

/** The content bytes of a primitive value of any tag. @throws {ATOLL_CERTIFICATE_INVALID} when it is constructed. */
export function primitiveBytesOf(node: DerNode): Buffer {
  if (typeof node.value !== "string") throw new AtollError("ATOLL_CERTIFICATE_INVALID", "expected a primitive ASN.1 value");
  return Buffer.from(node.value, "latin1");
}

/** The children of a constructed context-specific value. @throws {ATOLL_CERTIFICATE_INVALID} when it is primitive. */
export function contextChildrenOf(node: DerNode): readonly DerNode[] {
  if (!Array.isArray(node.value)) throw new AtollError("ATOLL_CERTIFICATE_INVALID", "expected a constructed ASN.1 value");
  return node.value;
}

function binaryOf(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("latin1");
}
