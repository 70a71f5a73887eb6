import type { EventEmitter } from "node:events";
import type { status } from "@grpc/grpc-js";

/**
 * Ends a server's stream with a status that its caller hears, and hears nothing more of it. grpc-js takes an error of the stream for the
 * status of its call; destroying it would end it before that is written, and its caller would wait for ever.
 */
export function endCall(call: EventEmitter & { resume?(): unknown }, code: status, details: string): void {
  call.removeAllListeners("data");
  // What still comes is thrown away: the caller's end is behind it.
  call.resume?.();
  call.emit("error", Object.assign(new Error(details), { code, details }));
}
