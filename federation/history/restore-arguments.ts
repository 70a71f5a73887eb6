import type { Restored } from "./restore-file.ts";

/** What a plane's program takes behind `restore`, for `parseArgs`. */
export const restoreArguments = { from: { type: "string" }, "passphrase-file": { type: "string" }, "key-file": { type: "string" }, check: { type: "boolean" } } as const;

/** The same as `restoreFile` takes it. */
export interface RestoreArguments {
  readonly file: string;
  readonly passphraseFile: string | undefined;
  readonly keyFile: string | undefined;
  readonly checkOnly: boolean;
}

/** What of it a usage line shows. */
export const restoreUsage = "restore --config FILE --from FILE [--passphrase-file FILE | --key-file FILE] [--check]";

export function restoreArgumentsOf(values: { readonly [Name in keyof typeof restoreArguments]?: (Name extends "check" ? boolean : string) | undefined }): RestoreArguments {
  return { file: values.from ?? "", passphraseFile: values["passphrase-file"], keyFile: values["key-file"], checkOnly: values.check ?? false };
}

/** One line on standard output, for whoever has started the program; logs go elsewhere. */
export function printRestored(restored: Restored): void {
  process.stdout.write(`${restoredPrefix}${JSON.stringify(restored)}\n`);
}

/** Begins that line. */
const restoredPrefix = "restored ";
