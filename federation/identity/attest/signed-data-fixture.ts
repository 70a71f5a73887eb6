import { createHash, createPrivateKey, randomBytes, sign, type KeyObject } from "node:crypto";
import forge from "node-forge";
import { systemClock } from "#federation/runtime/clock.ts";
import { contextConstructed, integer, octetString, oid, readDer, sequence, setOf, writeDer, type DerNode } from "../der.ts";
import { readCertificate } from "../certificate-reader.ts";

/** An RSA key of a test with its certificate. */
export interface TestSigner {
  readonly certificatePem: string;
  readonly certificateDer: Buffer;
  readonly key: KeyObject;
  /** Issues a certificate for a new key under this one. */
  readonly issue: (options: TestCertificate) => TestSigner;
}

export interface TestCertificate {
  readonly commonName: string;
  readonly dnsNames?: readonly string[];
  readonly notAfter?: Date;
  readonly bits?: number;
}

/** A self-signed authority. RSA keys take a while: make few. */
export function createTestSigner(commonName: string): TestSigner {
  return createSigner({ commonName }, undefined);
}

function createSigner({ commonName, dnsNames = [], notAfter, bits = 2_048 }: TestCertificate, issuer: { readonly certificate: forge.pki.Certificate; readonly key: forge.pki.rsa.PrivateKey } | undefined): TestSigner {
  const keys = forge.pki.rsa.generateKeyPair({ bits });
  const certificate = forge.pki.createCertificate();
  certificate.publicKey = keys.publicKey;
  certificate.serialNumber = `01${randomBytes(12).toString("hex")}`;
  const nowMs = systemClock.nowMs();
  certificate.validity.notBefore = new Date(nowMs - 3_600_000);
  certificate.validity.notAfter = notAfter ?? new Date(nowMs + 86_400_000);
  const subject = [{ name: "commonName", value: commonName }];
  certificate.setSubject(subject);
  certificate.setIssuer(issuer === undefined ? subject : issuer.certificate.subject.attributes);
  const names = dnsNames.length === 0 ? [] : [{ name: "subjectAltName", altNames: dnsNames.map((value) => ({ type: 2, value })) }];
  certificate.setExtensions([{ name: "basicConstraints", cA: issuer === undefined, critical: true }, ...names]);
  certificate.sign(issuer?.key ?? keys.privateKey, forge.md.sha256.create());
  const certificatePem = forge.pki.certificateToPem(certificate);
  return {
    certificatePem,
    certificateDer: Buffer.from(forge.asn1.toDer(forge.pki.certificateToAsn1(certificate)).getBytes(), "latin1"),
    key: createPrivateKey(forge.pki.privateKeyToPem(keys.privateKey)),
    issue: (options) => createSigner(options, { certificate, key: keys.privateKey }),
  };
}

const oids = { data: "1.2.840.113549.1.7.1", signedData: "1.2.840.113549.1.7.2", contentType: "1.2.840.113549.1.9.3", messageDigest: "1.2.840.113549.1.9.4", rsa: "1.2.840.113549.1.1.1", sha256WithRsa: "1.2.840.113549.1.1.11", sha256: "2.16.840.1.101.3.4.2.1" };
const version = (): DerNode => integer(Buffer.of(1));
const algorithm = (name: string): DerNode => sequence(oid(name), forge.asn1.create(forge.asn1.Class.UNIVERSAL, forge.asn1.Type.NULL, false, ""));
const attribute = (type: string, value: DerNode): DerNode => sequence(oid(type), setOf(value));

function signerInfo(signer: TestSigner, digest: string, attributes: readonly DerNode[], signed: Buffer): DerNode {
  const { issuerDer } = readCertificate(signer.certificateDer);
  const serial = new forge.util.ByteStringBuffer(Buffer.from(forge.pki.certificateFromPem(signer.certificatePem).serialNumber, "hex").toString("latin1"));
  const identifier = sequence(readDer(issuerDer), forge.asn1.create(forge.asn1.Class.UNIVERSAL, forge.asn1.Type.INTEGER, false, serial.getBytes()));
  const signature = octetString(sign("sha256", signed, signer.key));
  return sequence(version(), identifier, algorithm(digest), ...(attributes.length === 0 ? [] : [contextConstructed(0, ...attributes)]), algorithm(oids.rsa), signature);
}

/** What of a signed document a test may make wrong. */
export interface Wrongs {
  /** Put into the place of the signed content. */
  readonly content?: string;
  readonly digest?: string;
  /** The signature stands twice. */
  readonly isTwice?: boolean;
}

/** A document as Azure writes it: DER, the certificate along, no attributes, and the signature's algorithm in the digest's place. */
export function signAsAzure(content: string, signer: TestSigner, wrongs: Wrongs = {}): string {
  const info = signerInfo(signer, wrongs.digest ?? oids.sha256WithRsa, [], Buffer.from(content));
  const infos = forge.asn1.create(forge.asn1.Class.UNIVERSAL, forge.asn1.Type.SET, true, wrongs.isTwice === true ? [info, info] : [info]);
  const encapsulated = sequence(oid(oids.data), contextConstructed(0, octetString(Buffer.from(wrongs.content ?? content))));
  const data = sequence(version(), setOf(algorithm(oids.sha256WithRsa)), encapsulated, contextConstructed(0, readDer(signer.certificateDer)), infos);
  return writeDer(sequence(oid(oids.signedData), contextConstructed(0, data))).toString("base64");
}

/** A document as AWS writes it: indefinite lengths, the content in pieces, signed attributes, no certificate. */
export function signAsAws(content: string, signer: TestSigner, wrongs: Wrongs = {}): string {
  const attributes = [attribute(oids.contentType, oid(oids.data)), attribute(oids.messageDigest, octetString(createHash("sha256").update(content).digest()))];
  const signed = writeDer(contextConstructed(0, ...attributes));
  signed[0] = 0x31;
  const bytes = Buffer.from(wrongs.content ?? content);
  const pieces = indefinite(0x24, writeDer(octetString(bytes.subarray(0, 20))), writeDer(octetString(bytes.subarray(20))));
  const encapsulated = indefinite(0x30, writeDer(oid(oids.data)), indefinite(0xa0, pieces));
  const info = writeDer(setOf(signerInfo(signer, wrongs.digest ?? oids.sha256, attributes, signed)));
  const data = indefinite(0x30, writeDer(version()), writeDer(setOf(algorithm(oids.sha256))), encapsulated, info);
  return indefinite(0x30, writeDer(oid(oids.signedData)), indefinite(0xa0, data)).toString("base64");
}

/** BER's form without a length, ended by two zero bytes. */
function indefinite(tag: number, ...parts: readonly Buffer[]): Buffer {
  return Buffer.concat([Buffer.of(tag, 0x80), ...parts, Buffer.of(0, 0)]);
}
