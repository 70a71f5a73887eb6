/**
 * Why a message was refused, with the status that a client gets for it. The names are labels of a counter. What is malformed is 400
 * (RFC 9110 §15.5.1); the others:
 * - 414: a target longer than is read (RFC 9112 §3);
 * - 431: fields, or the whole head, beyond what is read (RFC 6585 §5);
 * - 501: a method that is not known (RFC 9110 §15.6.2), a transfer coding before `chunked` (RFC 9112 §6.1);
 * - 505: another version of HTTP (RFC 9110 §15.6.6). A client of HTTP/2 is told so in frames of its own.
 */
export const httpFaults = {
  bad_chunk: 400,
  bad_encoding: 501,
  bad_field: 400,
  bad_host: 400,
  bad_length: 400,
  bad_method: 501,
  bad_start_line: 400,
  bad_target: 400,
  bad_trailer: 400,
  bad_version: 505,
  bare_cr_or_lf: 400,
  duplicate_host: 400,
  duplicate_length: 400,
  extension_too_large: 400,
  faulty_encoding: 400,
  head_too_large: 431,
  http2_preface: 505,
  length_and_encoding: 400,
  missing_host: 400,
  target_too_long: 414,
  too_many_fields: 431,
  trailers_too_large: 431,
} as const satisfies Record<string, number>;

export type HttpFault = keyof typeof httpFaults;
