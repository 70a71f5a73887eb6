/** Why a message was refused, with the status that a client gets for it. The names are labels of a counter. */
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
  head_too_large: 431,
  length_and_encoding: 400,
  missing_host: 400,
  target_too_long: 414,
  too_many_fields: 431,
  trailers_too_large: 431,
} as const satisfies Record<string, number>;

export type HttpFault = keyof typeof httpFaults;
