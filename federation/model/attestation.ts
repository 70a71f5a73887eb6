import { isAddressWithin } from "./cidr.ts";
import type { JoinPurpose } from "./join-purpose.ts";
import type { JoinRefusal } from "./join-refusal.ts";
import { isLabel } from "./names.ts";

/** Who vouches for a joiner: the orchestrator that started it, or the cloud that its machine is of. */
export const attestationKinds = ["kubernetes", "aws", "google", "azure"] as const;
export type AttestationKind = (typeof attestationKinds)[number];

/**
 * The facts that a document of each kind may hold. Of `anchors` each rule has to demand one at least: without it every pod of a
 * cluster, or every customer of a cloud, would be let in.
 */
export const attestedFacts = {
  kubernetes: { all: ["namespace", "serviceAccount", "pod", "node"], anchors: ["namespace"] },
  aws: { all: ["accountId", "region", "availabilityZone", "instanceId", "imageId", "instanceType", "privateIp"], anchors: ["accountId"] },
  google: { all: ["projectId", "projectNumber", "zone", "instanceId", "instanceName", "serviceAccount"], anchors: ["projectId", "projectNumber"] },
  azure: { all: ["subscriptionId", "vmId", "sku", "licenseType"], anchors: ["subscriptionId"] },
} as const satisfies Readonly<Record<AttestationKind, { readonly all: readonly string[]; readonly anchors: readonly string[] }>>;

/** Bounds of attestation at one plane. */
export const attestationLimits = {
  sources: 32,
  rules: 256,
  factLength: 1_024,
  /** Longest document as it travels, in characters. */
  documentLength: 12 * 1024,
  /** Documents whose use is remembered at one time; beyond it newcomers wait. A listing of all of them has some 10 MiB. */
  documentsRemembered: 20_000,
} as const;

/** What a verified document says. */
export interface Attested {
  /** Name of the source in the plane's configuration that vouches for it. */
  readonly source: string;
  /** SHA-256 of what was signed, lower-case hex: the same for the same document, however its signature was written down. */
  readonly documentSha256: string;
  readonly facts: Readonly<Record<string, string>>;
  /** Who it is, for a person who reads the log. */
  readonly subject: string;
  /** Wall-clock ms. Until then the document is good for a key that has not come with it before. */
  readonly newKeyUntilMs: number;
  /** Wall-clock ms. Until then the key that the document was used for has to be remembered. */
  readonly rememberUntilMs: number;
}

/** The identity that a rule gives. Names that a workload's rule leaves out are those of the attested namespace and account. */
export type AttestedGift =
  | Exclude<JoinPurpose, { readonly kind: "workload" }>
  | { readonly kind: "workload"; readonly namespace?: string; readonly serviceAccount?: string };

/** Whom a plane lets in without a token, and as whom. */
export interface AttestationRule {
  readonly source: string;
  /** All of them must be in the document with exactly these values. */
  readonly facts: Readonly<Record<string, string>>;
  readonly gives: AttestedGift;
  /** Where the joiner may come from; none means from everywhere. */
  readonly cidrs: readonly string[];
}

/** Who comes, and what for. */
export interface AttestedAttempt {
  /** Source address of the connection. */
  readonly address: string;
  readonly isWanted: (purpose: JoinPurpose) => boolean;
}

/** What the first rule that fits gives; the refusal names how far the best of them came. Pure, O(rules). */
export function judgeAttested(rules: readonly AttestationRule[], attested: Attested, attempt: AttestedAttempt): { readonly purpose: JoinPurpose } | { readonly refusal: JoinRefusal } {
  let refusal: JoinRefusal = "rule";
  for (const rule of rules) {
    if (rule.source !== attested.source || !Object.entries(rule.facts).every(([name, value]) => attested.facts[name] === value)) continue;
    const purpose = purposeOf(rule.gives, attested.facts);
    if (purpose === undefined || !attempt.isWanted(purpose)) {
      if (refusal === "rule") refusal = "purpose";
    } else if (!isAddressWithin(attempt.address, rule.cidrs)) {
      refusal = "address";
    } else {
      return { purpose };
    }
  }
  return { refusal };
}

function purposeOf(gives: AttestedGift, facts: Attested["facts"]): JoinPurpose | undefined {
  if (gives.kind !== "workload") return gives;
  const namespace = gives.namespace ?? facts["namespace"];
  const serviceAccount = gives.serviceAccount ?? facts["serviceAccount"];
  // Names of accounts may have dots and be longer than a name of ours: such a pod has no identity here.
  return namespace === undefined || serviceAccount === undefined || !isLabel(namespace) || !isLabel(serviceAccount) ? undefined : { kind: "workload", namespace, serviceAccount };
}
