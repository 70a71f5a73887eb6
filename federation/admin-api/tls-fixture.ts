import { generateKeyPairSync, randomBytes } from "node:crypto";
import forge from "node-forge";
import type { AdminTls } from "./server.ts";

/** A certification authority of a test and what it issues. RSA, because node-forge knows no other key that TLS takes. */
export interface TestAuthority {
  readonly caPem: string;
  /** A certificate with `uris` as its alternative names, valid for an hour around now. */
  issue(...uris: readonly string[]): AdminTls;
}

/** A new authority with a key of its own. */
export function createTestAuthority(): TestAuthority {
  const keys = createKeys();
  const name = [{ name: "commonName", value: `test root ${randomBytes(4).toString("hex")}` }];
  const root = sign({ subject: name, issuer: name, publicKey: keys.publicKey, signer: keys.privateKey, extensions: [{ name: "basicConstraints", cA: true, critical: true }] });
  return {
    caPem: root,
    issue(...uris) {
      const leaf = createKeys();
      const extensions = [
        { name: "basicConstraints", cA: false, critical: true },
        { name: "subjectAltName", altNames: uris.map((value) => ({ type: 6, value })) },
      ];
      const certificateChainPem = sign({ subject: [{ name: "commonName", value: "test" }], issuer: name, publicKey: leaf.publicKey, signer: keys.privateKey, extensions });
      return { caPem: root, certificateChainPem, privateKeyPem: leaf.privateKeyPem };
    },
  };
}

function createKeys() {
  const { publicKey, privateKey } = generateKeyPairSync("rsa", {
    modulusLength: 2048,
    publicKeyEncoding: { type: "spki", format: "pem" },
    privateKeyEncoding: { type: "pkcs1", format: "pem" },
  });
  return { publicKey: forge.pki.publicKeyFromPem(publicKey), privateKey: forge.pki.privateKeyFromPem(privateKey), privateKeyPem: privateKey };
}

interface CertificateParts {
  readonly subject: forge.pki.CertificateField[];
  readonly issuer: forge.pki.CertificateField[];
  readonly publicKey: forge.pki.rsa.PublicKey;
  readonly signer: forge.pki.rsa.PrivateKey;
  readonly extensions: unknown[];
}

function sign({ subject, issuer, publicKey, signer, extensions }: CertificateParts): string {
  const certificate = forge.pki.createCertificate();
  certificate.publicKey = publicKey;
  certificate.serialNumber = `01${randomBytes(8).toString("hex")}`;
  certificate.validity.notBefore = new Date(new Date().getTime() - 3_600_000);
  certificate.validity.notAfter = new Date(new Date().getTime() + 3_600_000);
  certificate.setSubject(subject);
  certificate.setIssuer(issuer);
  certificate.setExtensions(extensions);
  certificate.sign(signer, forge.md.sha256.create());
  return forge.pki.certificateToPem(certificate);
}
