import { accessField } from "#federation/admin-api/access-config.ts";
import {
  addressField,
  choiceField,
  defaultField,
  hostField,
  integerField,
  objectField,
  parsedField,
  portField,
  stringField,
  variantField,
  type ConfigOf,
} from "#federation/runtime/config.ts";
import { busField, storeField } from "#federation/runtime/engine-config.ts";
import type { ClusterId } from "#federation/model/names.ts";
import { parseTrustDomainName } from "#federation/model/spiffe-id.ts";

const clusterIdField = parsedField(stringField({ max: 63, pattern: /^[a-z0-9]([a-z0-9-]*[a-z0-9])?$/, expected: "a lower-case DNS label" }), (text) => text as ClusterId);

/** The configuration file of a cluster's control plane. */
export const clusterConfigField = objectField({
  cluster: clusterIdField,
  dataDir: stringField(),
  listen: defaultField(
    objectField({
      address: defaultField(addressField, "127.0.0.1"),
      discoveryPort: defaultField(portField, 7410),
      joinPort: defaultField(portField, 7411),
      adminPort: defaultField(portField, 7420),
      metricsPort: defaultField(portField, 7421),
    }),
    { address: "127.0.0.1", discoveryPort: 7410, joinPort: 7411, adminPort: 7420, metricsPort: 7421 },
  ),
  /** What proxies and other planes dial; stands in tokens. */
  advertiseAddress: defaultField(hostField, "127.0.0.1"),
  store: defaultField(storeField, { kind: "sqlite" }),
  bus: busField,
  access: accessField,
  /** Needed until the plane has joined; read once. */
  globalJoinTokenFile: defaultField(stringField({ min: 0 }), ""),
  /**
   * `own`: this plane holds its trust domain's root and authority, made at the first start, and names the domain itself.
   * `remote`: it enrols with the plane that does, by a token of it.
   */
  signer: variantField("kind", { own: { trustDomain: parsedField(stringField(), parseTrustDomainName) }, remote: { tokenFile: stringField() } }),
  /** Lifetime of workload certificates. An hour by default; tests rotate faster. */
  svidSeconds: defaultField(integerField({ min: 10, max: 86_400 }), 3_600),
  logLevel: defaultField(choiceField(["debug", "info", "warn", "error"]), "info"),
});
export type ClusterConfig = ConfigOf<{ config: typeof clusterConfigField }>["config"];
