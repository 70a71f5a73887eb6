import { existsSync, readFileSync } from "node:fs";
import { resolve } from "node:path";
import { fetchBackup } from "#federation/admin-api/fetch-backup.ts";
import { AtollError, describeError } from "#federation/runtime/errors.ts";
import { writePrivateFileSync } from "#federation/runtime/private-file.ts";
import type { CommandContext } from "../context.ts";
import { bytes, printData } from "../output.ts";
import { withFederation } from "./federation.ts";

export interface BackupOptions {
  readonly to: string;
  /** The backup is encrypted with what this file holds. */
  readonly passphraseFile?: string;
}

/** `atoll backup PLANE`: the plane's store as of one revision, in a file that only its owner may read. */
export async function runBackup(context: CommandContext, plane: string, { to, passphraseFile }: BackupOptions): Promise<number> {
  const file = resolve(to);
  if (existsSync(file)) throw new AtollError("ATOLL_USAGE", `--to ${to}: there is a file already, and a backup takes the place of none`);
  const passphrase = passphraseFile === undefined ? undefined : readPassphrase(passphraseFile);
  const backup = await withFederation(context, async ({ planes }) => await fetchBackup(planes.plane(plane), passphrase, context.signal));
  writePrivateFileSync(file, backup.file);
  const { head, entries } = backup;
  const isEncrypted = passphrase !== undefined;
  if (printData(context, { file, ...head, entries, bytes: backup.file.byteLength, encrypted: isEncrypted })) return 0;
  context.terminal.print(`The store of ${plane} is in ${file}: ${entries} entries as of epoch ${head.epoch}, revision ${head.revision}; ${bytes(backup.file.byteLength)}, ${isEncrypted ? "encrypted" : "not encrypted"}.`);
  return 0;
}

function readPassphrase(file: string): string {
  try {
    return readFileSync(file, "utf8").trim();
  } catch (cause) {
    throw new AtollError("ATOLL_USAGE", `--passphrase-file ${file}: ${describeError(cause)}`, { cause });
  }
}
