import { defaultField, listField, objectField, parsedField, stringField, variantField, type ConfigOf } from "#federation/runtime/config.ts";
import { AtollError } from "#federation/runtime/errors.ts";
import { joinAddressesMax, parseAddress } from "../join-token.ts";

/** The link-local address at which clouds answer their own machines. */
const metadataUrl = defaultField(stringField({ max: 256, pattern: /^http:\/\/[^\s/]+$/, expected: "an http URL without a path" }), "http://169.254.169.254");

/** Where a joiner gets the document that others signed for it. */
const evidenceField = variantField("kind", {
  /** A service account's token that the orchestrator keeps fresh in a file. */
  kubernetes: { tokenFile: stringField() },
  aws: { metadataUrl },
  google: { audience: stringField({ max: 1_024 }), metadataUrl },
  azure: { metadataUrl },
});
export type EvidenceSource = ConfigOf<{ evidence: typeof evidenceField }>["evidence"];

/** How to join without a token: what a token would say, and the evidence in place of its secret. */
export const joinAttestField = objectField({
  /** `host:port` of the plane's join port. */
  addresses: listField(
    parsedField(stringField({ max: 300 }), (text) => {
      if (parseAddress(text) === undefined) throw new AtollError("ATOLL_CONFIG_INVALID", "expected host:port");
      return text;
    }),
    { min: 1, max: joinAddressesMax },
  ),
  /** SHA-256 of the federation's root certificate in DER, lower-case hex: whom to believe there. */
  rootSha256: stringField({ pattern: /^[0-9a-f]{64}$/, expected: "64 digits of lower-case hex" }),
  evidence: evidenceField,
});
export type JoinAttest = ConfigOf<{ attest: typeof joinAttestField }>["attest"];
