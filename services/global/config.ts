import { accessField } from "#federation/admin-api/access-config.ts";
import { backupField } from "#federation/history/backup-config.ts";
import { attestationField } from "#federation/identity/attest/attestation-config.ts";
import { addressField, choiceField, defaultField, hostField, objectField, optionalField, portField, stringField, type ConfigOf } from "#federation/runtime/config.ts";
import { busField, storeField } from "#federation/runtime/engine-config.ts";

/** The configuration file of the global control plane. */
export const globalConfigField = objectField({
  federation: stringField({ max: 120 }),
  dataDir: stringField(),
  listen: defaultField(
    objectField({
      address: defaultField(addressField, "127.0.0.1"),
      apiPort: defaultField(portField, 7400),
      joinPort: defaultField(portField, 7401),
      metricsPort: defaultField(portField, 7402),
    }),
    { address: "127.0.0.1", apiPort: 7400, joinPort: 7401, metricsPort: 7402 },
  ),
  /** What clusters and administrators dial; stands in tokens and in the admin context. */
  advertiseAddress: defaultField(hostField, "127.0.0.1"),
  store: defaultField(storeField, { kind: "sqlite" }),
  bus: busField,
  access: accessField,
  attestation: attestationField(["cluster"]),
  /** Absent: it makes no backups by itself. */
  backups: optionalField(backupField),
  logLevel: defaultField(choiceField(["debug", "info", "warn", "error"]), "info"),
});
export type GlobalConfig = ConfigOf<{ config: typeof globalConfigField }>["config"];
