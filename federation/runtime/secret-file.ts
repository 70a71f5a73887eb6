import { readBoundedFileSync } from "./bounded-file.ts";
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
    return readBoundedFileSync(path, secretBytesMax, ({ mode }) => {
      if ((mode & othersMode) !== 0) throw new Error(`others than its owner may use it (mode ${(mode & 0o777).toString(8).padStart(4, "0")}): chmod 600 ${path}`);
    }).trim();
  } catch (cause) {
    throw new AtollError("ATOLL_KEY_FILE_INVALID", `${what} ${path} cannot be used: ${describeError(cause)}`);
  }
}
