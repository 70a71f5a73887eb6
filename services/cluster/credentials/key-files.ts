import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { AtollError } from "#federation/runtime/errors.ts";
import { writePrivateFilesSync } from "#federation/runtime/private-file.ts";

/** A certificate chain with its key, both PEM, as they lie side by side in a directory. */
export interface KeyFiles {
  readonly certificatePem: string;
  readonly privateKeyPem: string;
}

/** Writes `<name>.key` and then `<name>.pem`, both or neither: a certificate that is there has its key. */
export function writeKeyFiles(directory: string, name: string, { certificatePem, privateKeyPem }: KeyFiles): void {
  writePrivateFilesSync([
    [join(directory, `${name}.key`), privateKeyPem],
    [join(directory, `${name}.pem`), certificatePem],
  ]);
}

/** What `writeKeyFiles` wrote, or undefined when it never did. */
export function readKeyFiles(directory: string, name: string): KeyFiles | undefined {
  const path = join(directory, `${name}.pem`);
  if (!existsSync(path)) return undefined;
  try {
    return { certificatePem: readFileSync(path, "utf8"), privateKeyPem: readFileSync(join(directory, `${name}.key`), "utf8") };
  } catch (error) {
    throw new AtollError("ATOLL_CONFIG_INVALID", `${join(directory, name)}: certificate and key cannot both be read`, { cause: error });
  }
}
