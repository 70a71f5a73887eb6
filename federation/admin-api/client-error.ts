import type { Duplex } from "node:stream";
import { maxHeaderSize, STATUS_CODES } from "#federation/runtime/node-http.ts";
import { createProblem, problemContentType } from "./problem.ts";

/** Answers, where there is still somebody to hear it, what could not be read as a request, and ends the connection. */
export function answerClientError(error: NodeJS.ErrnoException, socket: Duplex): void {
  if (!socket.writable || error.code === "ECONNRESET") {
    socket.destroy();
    return;
  }
  const problem = createProblem("ATOLL_REQUEST_INVALID", ...verdictOf(error.code));
  const body = JSON.stringify(problem);
  const head = [`HTTP/1.1 ${problem.status} ${STATUS_CODES[problem.status]}`, `content-type: ${problemContentType}`, `content-length: ${Buffer.byteLength(body)}`, "connection: close"];
  socket.end(`${head.join("\r\n")}\r\n\r\n${body}`);
  socket.once("finish", () => socket.destroy());
}

/** @see https://nodejs.org/api/http.html#event-clienterror and errors of llhttp */
function verdictOf(code: string | undefined): [status: number, detail: string] {
  if (code === "HPE_HEADER_OVERFLOW") return [431, `the head of a request, its path among it, has at most ${maxHeaderSize} bytes`];
  if (code === "ERR_HTTP_REQUEST_TIMEOUT") return [408, "the request did not come whole in time"];
  return [400, "what came is no request of HTTP/1.1 (RFC 9112)"];
}
