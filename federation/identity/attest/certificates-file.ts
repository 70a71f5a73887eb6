import { X509Certificate } from "node:crypto";
import { readFile, stat } from "node:fs/promises";
import { AtollError, describeError } from "#federation/runtime/errors.ts";

/** Bounds of a file of certificates that a plane believes; AWS has some 40 regions. */
const certificatesFileLimits = { bytes: 512 * 1024, certificates: 128 } as const;

/**
 * The certificates of a PEM file, read again when the file is another.
 * It rejects with {ATOLL_CONFIG_INVALID} when they cannot be read.
 */
export function certificatesOf(path: string): () => Promise<readonly X509Certificate[]> {
  let held: { readonly mark: string; readonly certificates: readonly X509Certificate[] } | undefined;
  return async () => {
    try {
      const { mtimeMs, size, ino } = await stat(path);
      const mark = `${mtimeMs} ${size} ${ino}`;
      if (held?.mark === mark) return held.certificates;
      if (size > certificatesFileLimits.bytes) throw new RangeError(`it is larger than ${certificatesFileLimits.bytes} bytes`);
      const blocks = (await readFile(path, "utf8")).match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? [];
      if (blocks.length === 0 || blocks.length > certificatesFileLimits.certificates) throw new RangeError(`it has ${blocks.length} certificates, and should have 1 to ${certificatesFileLimits.certificates}`);
      held = { mark, certificates: blocks.map((block) => new X509Certificate(block)) };
      return held.certificates;
    } catch (cause) {
      throw new AtollError("ATOLL_CONFIG_INVALID", `the certificates in ${path} cannot be used: ${describeError(cause)}`, { cause });
    }
  };
}
