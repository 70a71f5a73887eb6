import { join } from "node:path";
import { backupBounds } from "#federation/model/backup-bounds.ts";
import { backupRecipientsMax, parseBackupRecipient, type BackupRecipient } from "#federation/model/backup-recipient.ts";
import { absolutePathField, defaultField, integerField, listField, objectField, optionalField, parsedField, stringField, type ConfigOf } from "#federation/runtime/config.ts";
import { AtollError } from "#federation/runtime/errors.ts";

const { everySeconds, keep } = backupBounds;

const fields = objectField({
  everySeconds: defaultField(integerField(everySeconds), everySeconds.usual),
  keep: defaultField(integerField(keep), keep.usual),
  /** Where they are put; `backups` in the plane's data directory unless told. Another disk survives the store's. */
  directory: optionalField(absolutePathField),
  /** For whom they are encrypted. The plane can read none then. */
  recipients: defaultField(listField<BackupRecipient>(parsedField(stringField({ max: 80 }), parseBackupRecipient), { max: backupRecipientsMax }), []),
  /** A file, 0600, whose content they are encrypted with, in the place of recipients. */
  passphraseFile: optionalField(stringField()),
});

/** The part of a plane's configuration that has it back its store up by itself. There is no way to have that done in the clear. */
export const backupField = parsedField(fields, (config) => {
  if (config.recipients.length > 0 && config.passphraseFile !== undefined) throw new AtollError("ATOLL_CONFIG_INVALID", "recipients or passphraseFile, not both");
  if (config.recipients.length === 0 && config.passphraseFile === undefined) throw new AtollError("ATOLL_CONFIG_INVALID", "recipients: backups that are made by themselves are encrypted; name whom for, as `atoll backup-key` prints it, or passphraseFile");
  return config;
});
export type BackupConfig = ConfigOf<{ config: typeof backupField }>["config"];

/** Where a plane's backups are. */
export function backupDirectory({ directory }: BackupConfig, dataDir: string): string {
  return directory ?? join(dataDir, "backups");
}
