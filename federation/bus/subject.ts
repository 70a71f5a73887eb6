import { AtollError } from "#federation/runtime/errors.ts";

/** Longest subject or pattern, in characters; NATS servers take at least this much in a control line. */
export const subjectLengthMax = 512;
/** Largest payload; the default `max_payload` of nats-server. */
export const payloadBytesMax = 1024 * 1024;

/** A pattern, split once, for many matches. */
export type SubjectMatcher = (subject: string) => boolean;

/** True for tokens of printable ASCII split by ".", without wildcards: what a message may be sent to. */
export function isSubject(text: string): boolean {
  return text.length <= subjectLengthMax && text.split(".").every((token) => token !== "*" && token !== ">" && isToken(token));
}

/** True for a subject that may hold `*` as a whole token, and `>` as the last one. */
export function isSubjectPattern(text: string): boolean {
  if (text.length > subjectLengthMax) return false;
  const tokens = text.split(".");
  return tokens.every((token, index) => (token === ">" ? index === tokens.length - 1 : isToken(token)));
}

/**
 * Matches as NATS does: `*` stands for exactly one token, a last `>` for one or more.
 * @throws {ATOLL_BUS_MESSAGE_INVALID} when `pattern` is not one.
 * @see https://docs.nats.io/nats-concepts/subjects
 */
export function createSubjectMatcher(pattern: string): SubjectMatcher {
  checkSubjectPattern(pattern);
  const tokens = pattern.split(".");
  const isOpen = tokens.at(-1) === ">";
  if (isOpen) tokens.pop();
  if (!isOpen && !tokens.includes("*")) return (subject) => subject === pattern;
  return (subject) => {
    const given = subject.split(".");
    if (isOpen ? given.length <= tokens.length : given.length !== tokens.length) return false;
    return tokens.every((token, index) => token === "*" || token === given[index]);
  };
}

/** @throws {ATOLL_BUS_MESSAGE_INVALID} */
export function checkSubjectPattern(pattern: string): void {
  if (!isSubjectPattern(pattern)) throw new AtollError("ATOLL_BUS_MESSAGE_INVALID", `not a subject pattern: ${JSON.stringify(pattern.slice(0, 100))}`);
}

/** @throws {ATOLL_BUS_MESSAGE_INVALID} when the subject is not one or the payload is too large. */
export function checkMessage(subject: string, payload: Uint8Array): void {
  if (!isSubject(subject)) throw new AtollError("ATOLL_BUS_MESSAGE_INVALID", `not a subject: ${JSON.stringify(subject.slice(0, 100))}`);
  if (payload.byteLength > payloadBytesMax) {
    throw new AtollError("ATOLL_BUS_MESSAGE_INVALID", `a message for ${subject} has ${payload.byteLength} bytes; ${payloadBytesMax} are allowed`);
  }
}

function isToken(token: string): boolean {
  return /^[\x21-\x2d\x2f-\x7e]+$/.test(token) && (token.length === 1 ? true : !/[*>]/.test(token));
}
