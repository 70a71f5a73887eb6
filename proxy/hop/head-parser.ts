import { overHop, type HttpLimits } from "../http/http-limits.ts";
import { Http1Parser } from "../http/http1-parser.ts";

/** A session's parser: heads and trailers come to it as whole blocks, so nothing is ever told to a sink. */
export function createHeadParser(kind: "request" | "response", limits: HttpLimits): Http1Parser {
  return new Http1Parser(kind, { onHead() {}, onBody() {}, onComplete() {}, onFault() {} }, overHop(limits));
}
