/** Facts of a log line. Never keys, tokens or bodies. */
export type LogFields = Readonly<Record<string, unknown>>;

/** Structured logging as a port: the message is a constant sentence, the facts are fields. */
export interface Logger {
  debug(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  error(message: string, fields?: LogFields): void;
  child(fields: LogFields): Logger;
}

/** Drops everything; for tests that look at behaviour, not at logs. */
export const silentLogger: Logger = {
  debug() {},
  info() {},
  warn() {},
  error() {},
  child: () => silentLogger,
};
