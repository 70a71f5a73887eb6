import { closeSync, fstatSync, openSync, readFileSync } from "node:fs";
import { AtollError, describeError } from "./errors.ts";

/** A file larger than this holds no key and no passphrase. */
const secretBytesMax = 64 * 1024;
/** Whatever rights its group and all others have. */
const othersMode = 0o077;

/**
 * The text of a file that holds a key or a passphrase, without white space around it. `what` names it in errors, which never quote it.
 * @throws {ATOLL_KEY_FILE_INVALID} when it cannot be read, or others than its owner may.
 */
export function readSecretFile(path: string, what: string): string {
  try {
    const file = openSync(path, "r");
    try {
      const { mode, size } = fstatSync(file);
      if ((mode & othersMode) !== 0) throw new Error(`others than its owner may use it (mode ${(mode & 0o777).toString(8).padStart(4, "0")}): chmod 600 ${path}`);
      if (size > secretBytesMax) throw new Error(`it is larger than ${secretBytesMax} bytes`);
      return readFileSync(file, "utf8").trim();
    } finally {
      closeSync(file);
    }
  } catch (cause) {
    throw new AtollError("ATOLL_KEY_FILE_INVALID", `${what} ${path} cannot be used: ${describeError(cause)}`);
  }
}
