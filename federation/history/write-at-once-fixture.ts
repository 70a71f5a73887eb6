import { writePrivateFileSync, type WritePrivateFile } from "#federation/runtime/private-file.ts";

/** For clocks that move when told to: they know of no disk, so nothing may wait for one. */
export const writeAtOnce: WritePrivateFile = (path, content) => {
  try {
    writePrivateFileSync(path, content);
    return Promise.resolve();
  } catch (error) {
    return Promise.reject(error instanceof Error ? error : new Error(String(error)));
  }
};
