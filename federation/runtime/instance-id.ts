import { randomBytes } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { AtollError } from "./errors.ts";
import { writePrivateFileSync } from "./private-file.ts";
import { isMissing } from "./missing-file.ts";

const fileName = "instance";
const pattern = /^[0-9a-f]{16}$/;

/**
 * Which instance of its kind a data directory belongs to: 16 hex digits, made at its first use and kept in its file `instance`. A copy of
 * the directory has the same.
 * @throws {ATOLL_CONFIG_INVALID} when the file holds something else.
 */
export function keepInstanceId(dataDir: string): string {
  const path = join(dataDir, fileName);
  let text: string;
  try {
    text = readFileSync(path, "utf8").trim();
  } catch (error) {
    if (!isMissing(error)) throw error;
    text = randomBytes(8).toString("hex");
    writePrivateFileSync(path, `${text}\n`);
  }
  if (!pattern.test(text)) throw new AtollError("ATOLL_CONFIG_INVALID", `${path} is damaged: expected 16 hex digits; remove it, and this process is another instance`);
  return text;
}

/** Whether `dataDir` has been used by a process that keeps one. */
export function hasInstanceId(dataDir: string): boolean {
  return existsSync(join(dataDir, fileName));
}
