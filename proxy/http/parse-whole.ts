import { defaultHttpLimits } from "./http-limits.ts";
import { fieldStride, Http1Parser } from "./http1-parser.ts";
import type { HttpFault } from "./http-fault.ts";

/** One message as a parser read it; for tests and fuzzing. */
export interface ReadMessage {
  readonly method: string;
  readonly target: string;
  readonly status: number;
  readonly minorVersion: number;
  readonly fields: readonly (readonly [name: string, value: string])[];
  body: string;
  trailers: string;
  complete: boolean;
}

/** All messages in `pieces`, and the fault that ended reading, if any. */
export function readMessages(kind: "request" | "response", pieces: readonly Buffer[]): { readonly messages: ReadMessage[]; readonly fault: HttpFault | undefined } {
  const messages: ReadMessage[] = [];
  const parser = new Http1Parser(
    kind,
    {
      onHead(head) {
        const fields: [string, string][] = [];
        for (let slot = 0; slot < head.fieldCount * fieldStride; slot += fieldStride) {
          const line = head.buffer.toString("latin1", head.fields[slot + 1] ?? 0, head.fields[slot + 4] ?? 0);
          fields.push([line.slice(0, line.indexOf(":")), head.buffer.toString("latin1", head.fields[slot + 2] ?? 0, head.fields[slot + 3] ?? 0)]);
        }
        const { method, target, status, minorVersion } = head;
        messages.push({ method, target, status, minorVersion, fields, body: "", trailers: "", complete: false });
      },
      onBody(buffer, start, end) {
        const message = messages.at(-1);
        if (message !== undefined) message.body += buffer.toString("latin1", start, end);
      },
      onComplete() {
        const message = messages.at(-1);
        if (message === undefined) return;
        message.complete = true;
        message.trailers = parser.trailers;
      },
      onFault() {
        // Read from the parser below.
      },
    },
    defaultHttpLimits,
  );
  for (const piece of pieces) {
    for (let at = 0; at < piece.length; ) {
      at = parser.execute(piece, at, piece.length);
      if (parser.fault !== undefined) return { messages, fault: parser.fault };
      if (parser.complete) parser.next();
    }
  }
  return { messages, fault: undefined };
}
