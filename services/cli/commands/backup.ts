import { existsSync } from "node:fs";
import { resolve } from "node:path";
import { fetchBackup } from "#federation/admin-api/fetch-backup.ts";
import { createBackupKey, parseBackupRecipient } from "#federation/model/backup-recipient.ts";
import { AtollError } from "#federation/runtime/errors.ts";
import { writePrivateFileSync } from "#federation/runtime/private-file.ts";
import { readSecretFile } from "#federation/runtime/secret-file.ts";
import type { CommandContext } from "../context.ts";
import { bytes, printData } from "../output.ts";
import { withFederation } from "./federation.ts";

export interface BackupOptions {
  readonly to: string;
  /** The backup is encrypted with what this file holds. */
  readonly passphraseFile?: string;
  /** The backup is encrypted for the owners of these keys. */
  readonly recipient?: readonly string[];
}

/** `atoll backup PLANE`: the plane's store as of one revision, in a file that only its owner may read. */
export async function runBackup(context: CommandContext, plane: string, { to, passphraseFile, recipient }: BackupOptions): Promise<number> {
  const file = resolve(to);
  if (existsSync(file)) throw new AtollError("ATOLL_USAGE", `--to ${to}: there is a file already, and a backup takes the place of none`);
  const lock = lockOf({ passphraseFile, recipients: recipient ?? [] });
  const backup = await withFederation(context, async ({ planes }) => await fetchBackup(planes.plane(plane), lock, context.signal));
  writePrivateFileSync(file, backup.file);
  const { head, entries } = backup;
  const isEncrypted = lock !== undefined;
  if (printData(context, { file, ...head, entries, bytes: backup.file.byteLength, encrypted: isEncrypted })) return 0;
  context.terminal.print(`The store of ${plane} is in ${file}: ${entries} entries as of epoch ${head.epoch}, revision ${head.revision}; ${bytes(backup.file.byteLength)}, ${isEncrypted ? "encrypted" : "not encrypted"}.`);
  return 0;
}

/** `atoll backup-key`: makes the key that opens backups, in a file that only its owner may read, and says whom backups are encrypted for. */
export async function runBackupKey(context: CommandContext, { to }: { readonly to: string }): Promise<number> {
  const file = resolve(to);
  if (existsSync(file)) throw new AtollError("ATOLL_USAGE", `--to ${to}: there is a file already, and another key would not open what was encrypted for it`);
  const { privateKeyPem, recipient } = createBackupKey();
  writePrivateFileSync(file, privateKeyPem);
  if (printData(context, { file, recipient })) return 0;
  context.terminal.print(recipient);
  context.terminal.note(`The key that opens what is encrypted for it is in ${file}. No plane needs it: keep it where backups are restored, and once more elsewhere.`);
  return 0;
}

function lockOf({ passphraseFile, recipients }: { readonly passphraseFile: string | undefined; readonly recipients: readonly string[] }) {
  if (passphraseFile !== undefined && recipients.length > 0) throw new AtollError("ATOLL_USAGE", "a backup is encrypted with a passphrase or for recipients: give one");
  if (passphraseFile !== undefined) return { kind: "passphrase", passphrase: readSecretFile(passphraseFile, "the passphrase file") } as const;
  return recipients.length === 0 ? undefined : ({ kind: "recipients", recipients: recipients.map(parseBackupRecipient) } as const);
}
