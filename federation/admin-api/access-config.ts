import { AtollError } from "#federation/runtime/errors.ts";
import { choiceField, defaultField, listField, objectField, optionalField, parsedField, recordField, stringField, type ConfigOf } from "#federation/runtime/config.ts";
import { parseLabel } from "#federation/model/names.ts";
import { parseSpiffeId, parseTrustDomainName } from "#federation/model/spiffe-id.ts";
import type { Binding } from "./access.ts";

/** Bounds of what a plane is told of its callers. */
export const accessLimits = { bindings: 256, claims: 16, trustDomains: 256, namespaces: 256 } as const;

const labelText = parsedField(stringField({ max: 63 }), (text) => parseLabel(text, "namespace"));

const bindingField = parsedField(
  objectField({
    role: choiceField(["viewer", "operator", "administrator"]),
    /** The SPIFFE ID of a client certificate, whole. */
    spiffeId: optionalField(parsedField(stringField({ max: 2_048 }), parseSpiffeId)),
    /** Claims of a token that must all have exactly these values. */
    claims: optionalField(recordField(stringField({ max: 1_024 }), { min: 1, max: accessLimits.claims })),
    trustDomains: optionalField(listField(parsedField(stringField({ max: 253 }), parseTrustDomainName), { min: 1, max: accessLimits.trustDomains })),
    namespaces: optionalField(listField(labelText, { min: 1, max: accessLimits.namespaces })),
  }),
  ({ role, spiffeId, claims, trustDomains, namespaces }): Binding => {
    if (role !== "operator" && (trustDomains !== undefined || namespaces !== undefined)) throw invalid(`trustDomains and namespaces bound an operator; a ${role} has none`);
    if ((spiffeId === undefined) === (claims === undefined)) throw invalid("expected either spiffeId or claims, to say whom the role is for");
    return {
      role,
      subject: spiffeId === undefined ? { claims: claims ?? {} } : { spiffeId },
      ...(trustDomains === undefined ? {} : { trustDomains }),
      ...(namespaces === undefined ? {} : { namespaces }),
    };
  },
);

/** Who may do what at a plane's admin API, besides the administrators whose certificates say so. */
export const accessField = defaultField(
  parsedField(
    objectField({
      bindings: defaultField(listField(bindingField, { max: accessLimits.bindings }), []),
      /** Whose tokens are taken besides certificates. Absent: nobody's, and a caller without a certificate is refused in the handshake. */
      tokens: optionalField(
        objectField({
          issuer: stringField({ max: 1_024 }),
          audience: stringField({ max: 1_024 }),
          /** JSON Web Key Set; read again when it changes. */
          keysFile: stringField(),
        }),
      ),
    }),
    (access) => {
      if (access.tokens === undefined && access.bindings.some(({ subject }) => "claims" in subject)) throw invalid("a binding by claims needs tokens: whose they are, for which audience, and where the keys lie");
      return access;
    },
  ),
  { bindings: [] },
);
export type AccessConfig = ConfigOf<{ access: typeof accessField }>["access"];

function invalid(message: string): AtollError {
  return new AtollError("ATOLL_CONFIG_INVALID", message);
}
