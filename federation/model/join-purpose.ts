import type { ClusterId } from "./names.ts";

/** What a join token may be used for, and by whom. */
export type JoinPurpose =
  /** A cluster's plane joins the federation (issued by the global plane). */
  | { readonly kind: "cluster"; readonly cluster: ClusterId }
  /** A cluster's plane asks its trust domain's signer for its intermediate (issued by the signer's plane). */
  | { readonly kind: "enrolment"; readonly cluster: ClusterId }
  /** A workload's proxy asks for its first SVID (issued by a cluster's plane). */
  | { readonly kind: "workload"; readonly namespace: string; readonly serviceAccount: string }
  /** A gateway of the issuing cluster asks for its first SVID. */
  | { readonly kind: "gateway" };
