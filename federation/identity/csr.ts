import { sign, verify, type KeyObject } from "node:crypto";
import { AtollError } from "#federation/runtime/errors.ts";
import { bitString, childrenOf, contentOf, contextConstructed, contextTagOf, dottedOf, integer, oid, oids, readDer, sequence, wholeBitsOf, writeDer } from "./der.ts";
import { exportSpki, parsePublicKey, type KeyPair } from "./key-pair.ts";

/** Largest certificate request that is read, in bytes. One of ours has about 200; other tools add names and extensions. */
export const csrLengthBytesMax = 16 * 1024;

/**
 * A PKCS#10 request in DER that carries a public key and the proof that its private half is here, and nothing else:
 * who the caller is comes from the registry, never from the request.
 * @see https://www.rfc-editor.org/rfc/rfc2986
 */
export function createCsr(keyPair: KeyPair): Buffer {
  const info = sequence(integer(Uint8Array.of(0)), sequence(), readDer(exportSpki(keyPair.publicKey)), contextConstructed(0));
  const signature = sign("sha256", writeDer(info), keyPair.privateKey);
  return writeDer(sequence(info, sequence(oid(oids.ecdsaWithSha256)), bitString(signature)));
}

/**
 * The public key of a PKCS#10 request whose signature proves possession of the private key. Names, extensions and attributes
 * in the request are not looked at.
 * @throws {ATOLL_CSR_INVALID} unless it is DER, P-256, ecdsa-with-SHA256 and signed by that very key.
 */
export function publicKeyFromCsr(der: Uint8Array): KeyObject {
  if (der.length > csrLengthBytesMax) throw new AtollError("ATOLL_CSR_INVALID", `the certificate request exceeds ${csrLengthBytesMax} bytes`);
  try {
    return readVerifiedKey(der);
  } catch (error) {
    throw new AtollError("ATOLL_CSR_INVALID", "the certificate request was refused", { cause: error });
  }
}

function readVerifiedKey(der: Uint8Array): KeyObject {
  const outer = childrenOf(readDer(der), "SEQUENCE");
  const [info, algorithm, signature] = outer;
  if (outer.length !== 3 || info === undefined) throw new AtollError("ATOLL_CSR_INVALID", "a certificate request has three parts");
  const fields = childrenOf(info, "SEQUENCE");
  const [version, subject, spki, attributes] = fields;
  if (fields.length !== 4 || spki === undefined || contextTagOf(attributes) !== 0) {
    throw new AtollError("ATOLL_CSR_INVALID", "the certificate request lacks a field");
  }
  if (!contentOf(version, "INTEGER").equals(Buffer.of(0))) throw new AtollError("ATOLL_CSR_INVALID", "unknown version of certificate request");
  childrenOf(subject, "SEQUENCE");
  const algorithmFields = childrenOf(algorithm, "SEQUENCE");
  if (algorithmFields.length !== 1 || dottedOf(algorithmFields[0]) !== oids.ecdsaWithSha256) {
    throw new AtollError("ATOLL_CSR_INVALID", "the certificate request is not signed with ecdsa-with-SHA256");
  }
  const key = parsePublicKey(writeDer(spki));
  if (!verify("sha256", writeDer(info), key, wholeBitsOf(signature))) {
    throw new AtollError("ATOLL_CSR_INVALID", "the certificate request is not signed by its own key");
  }
  return key;
}
