import { choiceField, defaultField, integerField, listField, objectField, optionalField, parsedField, recordField, stringField, variantField, type ConfigOf, type Field } from "#federation/runtime/config.ts";
import { attestationLimits, attestedFacts, type AttestationRule, type AttestedGift } from "#federation/model/attestation.ts";
import { isCidr } from "#federation/model/cidr.ts";
import type { JoinPurpose } from "#federation/model/join-purpose.ts";
import { parseClusterId, parseLabel } from "#federation/model/names.ts";
import { provisioningLimits } from "#federation/model/provisioning-token.ts";
import { AtollError } from "#federation/runtime/errors.ts";
import { jwtLimits } from "../jwt-token.ts";
import { azureSignerNames } from "./machine-attestors.ts";

const tokenAgeField = optionalField(integerField({ min: 60, max: jwtLimits.lifeSecondsMax }));
const audienceField = stringField({ max: 1_024 });

/** Whose documents are believed. Keys and certificates are files, read again when they change; no plane fetches anything. */
const sourceField = variantField("kind", {
  kubernetes: { issuer: stringField({ max: 1_024 }), audience: audienceField, keysFile: stringField(), maxAgeSeconds: tokenAgeField },
  aws: { certificatesFile: stringField(), firstUseSeconds: defaultField(integerField({ min: 60, max: 30 * 86_400 }), 3_600) },
  google: { audience: audienceField, keysFile: stringField(), maxAgeSeconds: tokenAgeField },
  azure: { certificatesFile: stringField(), signerName: defaultField(choiceField(azureSignerNames), "metadata.azure.com") },
});
export type AttestationSource = ConfigOf<{ source: typeof sourceField }>["source"];

const labelText = (what: string): Field<string> => parsedField(stringField({ max: 63 }), (text) => parseLabel(text, what));
const clusterIdField = parsedField(stringField({ max: 63 }), parseClusterId);

const giftField: Field<AttestedGift> = variantField("kind", {
  cluster: { cluster: clusterIdField },
  enrolment: { cluster: clusterIdField },
  workload: { namespace: optionalField(labelText("namespace")), serviceAccount: optionalField(labelText("service account")) },
  gateway: {},
});

const cidrField = parsedField(stringField({ max: 64 }), (text) => {
  if (!isCidr(text)) throw invalid("expected a network, address/bits");
  return text;
});

const ruleField: Field<AttestationRule> = objectField({
  source: stringField({ max: 63 }),
  facts: recordField(stringField({ max: attestationLimits.factLength }), { max: 16 }),
  gives: giftField,
  cidrs: defaultField(listField(cidrField, { max: provisioningLimits.cidrsMax }), []),
});

/**
 * Whom a plane lets in without a token: sources by name, and rules over what they say. `kinds` are the identities that this plane gives.
 * Without it, nobody.
 */
export function attestationField(kinds: readonly JoinPurpose["kind"][]) {
  return defaultField(
    parsedField(
      objectField({ sources: recordField(sourceField, { min: 1, max: attestationLimits.sources }), rules: listField(ruleField, { min: 1, max: attestationLimits.rules }) }),
      (attestation) => {
        for (const name of Object.keys(attestation.sources)) parseLabel(name, "source");
        attestation.rules.forEach((rule, index) => checkRule(rule, `rules[${index}]`, attestation.sources, kinds));
        return attestation;
      },
    ),
    { sources: {}, rules: [] },
  );
}
export type AttestationConfig = ConfigOf<{ attestation: ReturnType<typeof attestationField> }>["attestation"];

function checkRule({ source, facts, gives }: AttestationRule, at: string, sources: Readonly<Record<string, AttestationSource>>, kinds: readonly JoinPurpose["kind"][]): void {
  const kind = Object.hasOwn(sources, source) ? sources[source]?.kind : undefined;
  if (kind === undefined) throw invalid(`${at}: no source is called ${source}; there are ${Object.keys(sources).join(", ")}`);
  if (!kinds.includes(gives.kind)) throw invalid(`${at}: this plane gives ${kinds.join(", ")}, not ${gives.kind}`);
  const { all, anchors }: { readonly all: readonly string[]; readonly anchors: readonly string[] } = attestedFacts[kind];
  const unknown = Object.keys(facts).filter((name) => !all.includes(name));
  if (unknown.length > 0) throw invalid(`${at}: a ${kind} document has no ${unknown.join(", ")}; it has ${all.join(", ")}`);
  const isNamed = gives.kind !== "workload" || (gives.namespace !== undefined && gives.serviceAccount !== undefined);
  if (!isNamed && kind !== "kubernetes") throw invalid(`${at}: gives.namespace and gives.serviceAccount are needed, since a ${kind} document names no workload`);
  // Where both names are the attested ones, each pod becomes itself and nothing more: no fact need be demanded.
  const isItself = gives.kind === "workload" && gives.namespace === undefined && gives.serviceAccount === undefined;
  if (!isItself && !anchors.some((name) => Object.hasOwn(facts, name))) throw invalid(`${at}: facts must name ${anchors.join(" or ")}, or this rule would let in every ${kind === "kubernetes" ? "pod of the cluster" : "customer of the cloud"}`);
}

function invalid(message: string): AtollError {
  return new AtollError("ATOLL_CONFIG_INVALID", message);
}

