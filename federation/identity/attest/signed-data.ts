import { createHash, timingSafeEqual, verify, type KeyObject } from "node:crypto";
import { AtollError } from "#federation/runtime/errors.ts";
import { childrenOf, contentOf, contextChildrenOf, contextTagOf, dottedOf, readDer, writeDer, type DerNode } from "../der.ts";

/** One document with one signature over it, read and not yet believed. */
export interface SignedData {
  readonly content: Buffer;
  /** The signer's certificates that travel along, in DER; often none. */
  readonly certificates: readonly Buffer[];
  /** Which certificate the signer says is its own: issuer's name in DER and serial number. */
  readonly signer: { readonly issuerDer: Buffer; readonly serial: Buffer };
  /** Whether `key` made the signature over the content. */
  readonly isSignedBy: (key: KeyObject) => boolean;
}

const oids = {
  data: "1.2.840.113549.1.7.1",
  signedData: "1.2.840.113549.1.7.2",
  contentType: "1.2.840.113549.1.9.3",
  messageDigest: "1.2.840.113549.1.9.4",
  rsaEncryption: "1.2.840.113549.1.1.1",
  sha256WithRsa: "1.2.840.113549.1.1.11",
  sha256: "2.16.840.1.101.3.4.2.1",
} as const;

/** Keys below this are not believed. AWS signs its older forms with 1,024 bits. */
const modulusBitsMin = 2_048;

/**
 * Reads CMS SignedData in base64: content within, exactly one signer, RSA (PKCS #1 v1.5) over SHA-256. Indefinite lengths and content in
 * pieces are read as well, since AWS writes its documents in that way; so is the name of the signature's algorithm in the place of the
 * digest's, as Azure writes it.
 * @throws {ATOLL_CERTIFICATE_INVALID} for anything else.
 * @see https://www.rfc-editor.org/rfc/rfc5652#section-5
 */
export function readSignedData(base64: string): SignedData {
  const [contentType, wrapped] = childrenOf(readDer(Buffer.from(base64, "base64")), "SEQUENCE");
  if (dottedOf(contentType) !== oids.signedData) throw invalid("it is no signed data");
  const [, , encapsulated, ...rest] = childrenOf(onlyChild(wrapped, 0), "SEQUENCE");
  const [innerType, inner] = childrenOf(encapsulated, "SEQUENCE");
  if (dottedOf(innerType) !== oids.data || inner === undefined) throw invalid("its content is not within it");
  const content = octetsOf(onlyChild(inner, 0));
  const certificates = rest.find((node) => contextTagOf(node) === 0);
  const signers = childrenOf(rest.at(-1), "SET");
  if (signers.length !== 1) throw invalid(`it has ${signers.length} signers instead of one`);
  return { content, certificates: certificates === undefined ? [] : contextChildrenOf(certificates).map(writeDer), ...readSigner(signers[0], content) };
}

function readSigner(node: DerNode | undefined, content: Buffer): Pick<SignedData, "signer" | "isSignedBy"> {
  const [, identifier, digestAlgorithm, ...rest] = childrenOf(node, "SEQUENCE");
  const [issuer, serial] = childrenOf(identifier, "SEQUENCE");
  const attributes = contextTagOf(rest[0]) === 0 ? rest[0] : undefined;
  const [signatureAlgorithm, signature] = attributes === undefined ? rest : rest.slice(1);
  if (!new Set<string>([oids.sha256, oids.sha256WithRsa]).has(algorithmOf(digestAlgorithm))) throw invalid("its digest is not SHA-256");
  if (!new Set<string>([oids.rsaEncryption, oids.sha256WithRsa]).has(algorithmOf(signatureAlgorithm))) throw invalid("its signature is not RSA");
  if (issuer === undefined) throw invalid("its signer has no name");
  const signed = attributes === undefined ? content : signedAttributes(attributes, content);
  const bytes = contentOf(signature, "OCTETSTRING");
  return {
    signer: { issuerDer: writeDer(issuer), serial: contentOf(serial, "INTEGER") },
    isSignedBy: (key) => key.asymmetricKeyType === "rsa" && (key.asymmetricKeyDetails?.modulusLength ?? 0) >= modulusBitsMin && verify("sha256", signed, key, bytes),
  };
}

/** What is signed in the content's place: attributes, one of which has the content's digest. */
function signedAttributes(node: DerNode, content: Buffer): Buffer {
  const attributes = contextChildrenOf(node).map((attribute) => {
    const [type, values] = childrenOf(attribute, "SEQUENCE");
    return { type: dottedOf(type), values: childrenOf(values, "SET") };
  });
  const valueOf = (type: string): DerNode | undefined => {
    const found = attributes.filter((attribute) => attribute.type === type);
    return found.length === 1 && found[0]?.values.length === 1 ? found[0].values[0] : undefined;
  };
  const digest = contentOf(valueOf(oids.messageDigest), "OCTETSTRING");
  const expected = createHash("sha256").update(content).digest();
  if (digest.length !== expected.length || !timingSafeEqual(digest, expected)) throw invalid("its content is not the signed one");
  if (dottedOf(valueOf(oids.contentType)) !== oids.data) throw invalid("its content is not of the signed type");
  // They stand there as [0]; what is signed is their SET, which differs in the tag alone (RFC 5652 §5.4).
  const bytes = writeDer(node);
  bytes[0] = 0x31;
  return bytes;
}

function algorithmOf(node: DerNode | undefined): string {
  return dottedOf(childrenOf(node, "SEQUENCE")[0]);
}

function onlyChild(node: DerNode | undefined, tag: number): DerNode {
  const children = node !== undefined && contextTagOf(node) === tag ? contextChildrenOf(node) : [];
  const [child] = children;
  if (children.length !== 1 || child === undefined) throw invalid("it does not have the form of signed data");
  return child;
}

/** An OCTET STRING, whole or in pieces. */
function octetsOf(node: DerNode): Buffer {
  if (!Array.isArray(node.value)) return contentOf(node, "OCTETSTRING");
  return Buffer.concat(node.value.map((piece) => contentOf(piece, "OCTETSTRING")));
}

function invalid(reason: string): AtollError {
  return new AtollError("ATOLL_CERTIFICATE_INVALID", `the document is refused: ${reason}`);
}
