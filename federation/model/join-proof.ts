import type { AttestationKind } from "./attestation.ts";

/** By what somebody proves that it may join. */
export type JoinProof =
  | { readonly kind: "token"; readonly id: string; readonly secret: Uint8Array }
  | { readonly kind: "attestation"; readonly source: AttestationKind; readonly document: string };
