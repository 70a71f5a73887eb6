import type { HttpFault } from "./http-fault.ts";

/**
 * What is wrong with a list of transfer codings that is not just `chunked`. A request whose last coding is another one has no length that could
 * be known, and none may be chunked twice (RFC 9112 §6.1, §6.3): 400. Codings before it are ones that nobody here undoes: 501.
 */
export function encodingFault(list: string): HttpFault {
  const codings = list.toLowerCase().split(",").map((coding) => coding.trim()).filter((coding) => coding !== "");
  return codings.indexOf("chunked") === codings.length - 1 && codings.length > 1 ? "bad_encoding" : "faulty_encoding";
}

const preface = "PRI * HTTP/2.0\r\n";

/**
 * What is wrong with a request line that begins at `start` and has something else than HTTP/1.0 or HTTP/1.1 at `at`, where its version should
 * be. Another version in the form of one is not supported (RFC 9110 §15.6.6): 505, and HTTP/2's with prior knowledge is known by its preface
 * (RFC 9113 §3.4). Anything else is a request line that is malformed, as by a space in its target (RFC 9112 §3): 400.
 */
export function versionFault(buffer: Buffer, start: number, at: number): HttpFault {
  if (buffer.toString("latin1", start, start + preface.length) === preface) return "http2_preface";
  return /^HTTP\/\d\.\d\r\n/.test(buffer.toString("latin1", at, at + 10)) ? "bad_version" : "bad_start_line";
}
