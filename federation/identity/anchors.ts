import type { TrustBundle } from "#federation/model/trust-bundle.ts";
import type { TrustDomainName } from "#federation/model/names.ts";
import { isAuthority, readCertificate, readSubjectKeyId, type CertificateFields } from "./certificate-reader.ts";
import {
  authorityConstraints,
  authorityKeyId,
  createExtension,
  createKeyId,
  createName,
  keyUsage,
  permittedTrustDomain,
  signCertificate,
  subjectKeyId,
} from "./certificate-writer.ts";
import { oids, readDer, sequence, time } from "./der.ts";
import { createKeyPair, exportSpki } from "./key-pair.ts";
import { certificatePem } from "./pem.ts";

/** A root that takes part, bound to the trust domain of the bundle that brought it. */
export interface AnchorRoot {
  readonly trustDomain: TrustDomainName;
  /** The certificate as the bundle has it. */
  readonly der: Uint8Array;
  readonly fields: CertificateFields;
  readonly keyId: Buffer;
}

/** A root that does not, and why. */
export interface RootLeftOut {
  readonly trustDomain: TrustDomainName;
  readonly reason: string;
}

/** 2000 to 2099: the throwaway root lives only in this process, so its dates need not follow a clock. */
const throwawayNotBeforeMs = Date.UTC(2000, 0, 1);
const throwawayNotAfterMs = Date.UTC(2099, 0, 1);

/**
 * The `ca` list of a TLS context that trusts each root of `bundles` for its own trust domain only, as PEM: a throwaway root made
 * here and now, whose key is forgotten, and per root a cross-certificate with the root's subject, key and key id under a critical
 * name constraint for the trust domain's URIs. OpenSSL then refuses, in the handshake, a certificate of one domain that claims
 * an identity of another. About 0.4 ms per root; cache the list by the bundles' sequences. An empty list of bundles gives a
 * list that trusts nobody. Put one's own trust domain first: see `selectAnchorRoots`.
 */
export function createAnchors(bundles: readonly TrustBundle[]): readonly string[] {
  const throwaway = createKeyPair();
  const spkiDer = exportSpki(throwaway.publicKey);
  const keyId = createKeyId(spkiDer);
  const name = createName(`atoll anchors ${keyId.toString("hex")}`);
  const top = signCertificate(
    {
      issuerName: name,
      subjectName: name,
      spkiDer,
      validity: sequence(time(throwawayNotBeforeMs), time(throwawayNotAfterMs)),
      extensions: [authorityConstraints(undefined), keyUsage("authority"), subjectKeyId(keyId), authorityKeyId(keyId)],
    },
    throwaway.privateKey,
  );
  const crossed = selectAnchorRoots(bundles).roots.map((root) =>
    signCertificate(
      {
        issuerName: name,
        subjectName: readDer(root.fields.subjectDer),
        spkiDer: root.fields.spkiDer,
        validity: root.fields.validity,
        extensions: [
          createExtension(oids.basicConstraints, true, root.fields.extensions.get(oids.basicConstraints)?.value ?? Buffer.alloc(0)),
          keyUsage("authority"),
          subjectKeyId(root.keyId),
          authorityKeyId(keyId),
          permittedTrustDomain(root.trustDomain),
        ],
      },
      throwaway.privateKey,
    ),
  );
  return [top, ...crossed].map(certificatePem);
}

/**
 * Which roots `createAnchors` takes, and which it leaves out: those that are no authority; those without a subject or a subject
 * key id, since OpenSSL would try them for every issuer of that name; those with name constraints of their own, which a
 * cross-certificate would lose; and those with subject and key id of a root that an earlier bundle brought, so that a foreign
 * bundle can never stand in the way of one's own.
 */
export function selectAnchorRoots(bundles: readonly TrustBundle[]): { readonly roots: readonly AnchorRoot[]; readonly leftOut: readonly RootLeftOut[] } {
  const roots: AnchorRoot[] = [];
  const leftOut: RootLeftOut[] = [];
  const seen = new Set<string>();
  for (const { trustDomain, x509Authorities } of bundles) {
    for (const der of x509Authorities) {
      const reading = readRoot(der);
      if (typeof reading === "string") {
        leftOut.push({ trustDomain, reason: reading });
        continue;
      }
      const mark = `${reading.fields.subjectDer.toString("hex")}/${reading.keyId.toString("hex")}`;
      if (seen.has(mark)) {
        leftOut.push({ trustDomain, reason: "another root has the same subject and key id" });
        continue;
      }
      seen.add(mark);
      roots.push({ trustDomain, der, ...reading });
    }
  }
  return { roots, leftOut };
}

function readRoot(der: Uint8Array): { readonly fields: CertificateFields; readonly keyId: Buffer } | string {
  try {
    const fields = readCertificate(der);
    const keyId = readSubjectKeyId(fields);
    if (!isAuthority(fields)) return "the certificate is not an authority";
    if (fields.subjectEmpty || keyId === undefined || keyId.length === 0) return "the root has no subject or no subject key id";
    if (fields.extensions.has(oids.nameConstraints)) return "the root has name constraints of its own";
    return { fields, keyId };
  } catch {
    return "the certificate cannot be read";
  }
}

/** True when two lists of bundles lead to the same anchors: same domains at the same sequences, in the same order. */
export function sameAnchors(left: readonly TrustBundle[], right: readonly TrustBundle[]): boolean {
  return left.length === right.length && left.every((bundle, index) => bundle.trustDomain === right[index]?.trustDomain && bundle.sequence === right[index]?.sequence);
}
