import { AtollError } from "./errors.ts";

/** sun_path holds 104 bytes on macOS and 108 on Linux, the closing zero included (unix(4), unix(7)). */
const socketPathBytesMax = 103;

/** @throws {ATOLL_CONFIG_INVALID} with `advice` when no unix socket can have this path. */
export function checkSocketPath(path: string, advice: string): void {
  const bytes = Buffer.byteLength(path);
  if (bytes <= socketPathBytesMax) return;
  throw new AtollError("ATOLL_CONFIG_INVALID", `${path} is ${bytes} bytes; a unix socket's path may have ${socketPathBytesMax}: ${advice}`);
}
