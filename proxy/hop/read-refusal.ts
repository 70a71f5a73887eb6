import type { HopRefusal } from "../upstream/upstream.ts";
import { preludeBytes } from "./frames.ts";

/** The longest reason that a peer may give, in bytes; ours are words with a figure at most. */
const reasonBytesMax = 128;

/**
 * What a refusal's payload in buffer[from, to), which is not shorter than its prelude, says. Undefined for what no answer can be made of: its
 * reason goes into a header field of the answer and its status into the first line, so neither may be anything else.
 */
export function readRefusal(buffer: Buffer, from: number, to: number): HopRefusal | undefined {
  const status = buffer.readUInt16BE(from + 6);
  const reasonFrom = from + preludeBytes.refusal;
  if (status < 400 || status > 599 || !isReason(buffer, reasonFrom, to)) return undefined;
  return {
    status,
    retryAfterMs: buffer.readUInt32BE(from + 8),
    flag: buffer[from + 12] ?? 0,
    seenByApp: buffer[from + 13] === 1,
    reason: buffer.toString("latin1", reasonFrom, to),
  };
}

/** Visible ASCII and spaces between. */
function isReason(buffer: Buffer, from: number, to: number): boolean {
  if (to <= from || to - from > reasonBytesMax || buffer[from] === 0x20 || buffer[to - 1] === 0x20) return false;
  for (let at = from; at < to; at++) {
    const byte = buffer[at] ?? 0;
    if (byte < 0x20 || byte > 0x7e) return false;
  }
  return true;
}
