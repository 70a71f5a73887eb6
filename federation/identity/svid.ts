import type { SpiffeId } from "#federation/model/names.ts";

/** An X.509-SVID with its key: PEM, leaf first, then intermediates, never the root. */
export interface X509Svid {
  readonly spiffeId: SpiffeId;
  readonly certificateChainPem: string;
  readonly privateKeyPem: string;
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
}
