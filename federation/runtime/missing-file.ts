/** Whether a failure of the file system says that a file is not there (ENOENT). */
export function isMissing(error: unknown): boolean {
  return error instanceof Error && "code" in error && error.code === "ENOENT";
}
