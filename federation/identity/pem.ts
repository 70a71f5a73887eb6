import { AtollError } from "#federation/runtime/errors.ts";

/** Most certificates in one chain that is read. Ours have two or three. */
export const chainLengthMax = 8;

const certificateBlock = /-----BEGIN CERTIFICATE-----([A-Za-z0-9+/=\s]+)-----END CERTIFICATE-----/g;

/** One certificate as PEM, with a newline at its end. */
export function certificatePem(der: Uint8Array): string {
  const base64 = Buffer.from(der.buffer, der.byteOffset, der.byteLength).toString("base64");
  return `-----BEGIN CERTIFICATE-----\n${base64.replace(/(.{64})(?=.)/g, "$1\n")}\n-----END CERTIFICATE-----\n`;
}

/** Several certificates as one PEM text, in order. */
export function chainPem(chain: readonly Uint8Array[]): string {
  return chain.map(certificatePem).join("");
}

/** The certificates of a PEM text in order, as DER; other blocks are skipped. @throws {ATOLL_CERTIFICATE_INVALID} when there are none, or more than `chainLengthMax`. */
export function parseChainPem(pem: string): readonly Buffer[] {
  const chain = [...pem.matchAll(certificateBlock)].map((match) => Buffer.from(match[1] ?? "", "base64"));
  if (chain.length === 0 || chain.length > chainLengthMax) {
    throw new AtollError("ATOLL_CERTIFICATE_INVALID", `a certificate chain has 1 to ${chainLengthMax} certificates, this one ${chain.length}`);
  }
  return chain;
}
