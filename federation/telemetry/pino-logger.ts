import { destination, pino, type Logger as PinoLogger } from "pino";
import type { LogFields, Logger } from "./logger.ts";

export type LogLevel = "debug" | "info" | "warn" | "error";

/** A JSON logger on standard error. Synchronous, so that the last lines before a crash are there. */
export function createPinoLogger(options: { readonly level: LogLevel; readonly fields: LogFields }): Logger {
  return wrap(
    pino(
      {
        level: options.level,
        base: { pid: process.pid, ...options.fields },
        timestamp: () => `,"time":"${new Date().toISOString()}"`,
        formatters: { level: (label) => ({ level: label }) },
        messageKey: "message",
        redact: { paths: ["token", "secret", "key", "privateKey", "*.token", "*.secret", "*.privateKey"], censor: "[redacted]" },
      },
      destination({ fd: 2, sync: true }),
    ),
  );
}

function wrap(inner: PinoLogger): Logger {
  return {
    debug: (message, fields) => inner.debug(fields ?? {}, message),
    info: (message, fields) => inner.info(fields ?? {}, message),
    warn: (message, fields) => inner.warn(fields ?? {}, message),
    error: (message, fields) => inner.error(fields ?? {}, message),
    child: (fields) => wrap(inner.child(fields)),
  };
}
