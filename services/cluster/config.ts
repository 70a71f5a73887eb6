import { accessField } from "#federation/admin-api/access-config.ts";
import { backupField } from "#federation/history/backup-config.ts";
import { attestationField } from "#federation/identity/attest/attestation-config.ts";
import { joinAttestField } from "#federation/identity/attest/evidence-config.ts";
import { checkOneSource } from "#federation/identity/join-voucher.ts";
import {
  addressField,
  choiceField,
  defaultField,
  hostField,
  integerField,
  objectField,
  optionalField,
  parsedField,
  portField,
  stringField,
  variantField,
  type ConfigOf,
} from "#federation/runtime/config.ts";
import { busField, storeField } from "#federation/runtime/engine-config.ts";
import type { ClusterId } from "#federation/model/names.ts";
import { parseTrustDomainName } from "#federation/model/spiffe-id.ts";
import { AtollError } from "#federation/runtime/errors.ts";
import { bundleEndpointField } from "./bundle-endpoint/endpoint-config.ts";

const clusterIdField = parsedField(stringField({ max: 63, pattern: /^[a-z0-9]([a-z0-9-]*[a-z0-9])?$/, expected: "a lower-case DNS label" }), (text) => text as ClusterId);

const fieldsOfCluster = objectField({
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
  /** Who joins at this plane without a token, and as what; enrolments at the signer's plane alone. */
  attestation: attestationField(["workload", "gateway", "enrolment"]),
  /** By what the plane joins the federation, until it has, and again when its certificate has expired: a token of the global plane, or evidence. */
  globalJoinTokenFile: defaultField(stringField({ min: 0 }), ""),
  globalJoinAttest: optionalField(joinAttestField),
  /**
   * `own`: this plane holds its trust domain's root and authority, made at the first start, and names the domain itself.
   * `remote`: it enrols with the plane that does, by a token of it or by evidence.
   */
  signer: variantField("kind", { own: { trustDomain: parsedField(stringField(), parseTrustDomainName) }, remote: { tokenFile: defaultField(stringField({ min: 0 }), ""), attest: optionalField(joinAttestField) } }),
  /** Lifetime of workload certificates. An hour by default; tests rotate faster. */
  svidSeconds: defaultField(integerField({ min: 10, max: 86_400 }), 3_600),
  /**
   * How long after its end a workload's certificate is renewed by its key, for proxies whose plane or machine was away. Three days by
   * default, a weekend; 0: not at all. A key that was stolen is of use for so much longer than its certificate.
   */
  lapsedSvidSeconds: defaultField(integerField({ min: 0, max: 30 * 86_400 }), 3 * 86_400),
  /** Absent: it does not serve its trust domain's bundle to others. */
  bundleEndpoint: optionalField(bundleEndpointField),
  /** Absent: it makes no backups by itself. */
  backups: optionalField(backupField),
  logLevel: defaultField(choiceField(["debug", "info", "warn", "error"]), "info"),
});

/** The configuration file of a cluster's control plane. */
export const clusterConfigField = parsedField(fieldsOfCluster, (config) => {
  checkOneSource({ tokenFile: config.globalJoinTokenFile, attest: config.globalJoinAttest }, "globalJoinTokenFile and globalJoinAttest");
  const { signer } = config;
  if (signer.kind === "remote") {
    checkOneSource({ tokenFile: signer.tokenFile, attest: signer.attest }, "signer.tokenFile and signer.attest");
    if (signer.tokenFile === "" && signer.attest === undefined) throw new AtollError("ATOLL_CONFIG_INVALID", "signer.tokenFile: required, or signer.attest");
  }
  const misplaced = signer.kind === "remote" ? config.attestation.rules.findIndex(({ gives }) => gives.kind === "enrolment") : -1;
  if (misplaced !== -1) throw new AtollError("ATOLL_CONFIG_INVALID", `attestation.rules[${misplaced}]: enrolments are given by the plane that holds the trust domain's keys (signer.kind own)`);
  return config;
});
export type ClusterConfig = ConfigOf<{ config: typeof clusterConfigField }>["config"];
