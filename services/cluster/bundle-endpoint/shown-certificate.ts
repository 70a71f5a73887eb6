import type { Watched } from "#federation/runtime/watched.ts";

/** What an endpoint shows in a handshake, with its key. PEM, its own certificate first. */
export interface ShownCertificate {
  readonly certificateChainPem: string;
  readonly privateKeyPem: string;
  readonly notAfterMs: number;
}

/** Where the certificate of an endpoint comes from: one for each profile. */
export interface CertificateSource {
  /** Undefined while there is none that anybody could verify. */
  readonly certificate: Watched<ShownCertificate | undefined>;
  /** Why there is none, or none that is newer; undefined while all is well. */
  readonly fault: string | undefined;
  /** Keeps it current. */
  run(signal: AbortSignal): Promise<void>;
}
