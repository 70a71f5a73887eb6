import { defaultPriority, priorityClasses } from "#federation/model/priority-class.ts";
import type { OutgoingRequest } from "./upstream.ts";

/** A request as HTTP/1.1 sends it: its head, with `fields` of ours, and what is held of its body, in one text for one write. */
export function requestText(request: OutgoingRequest, fields: string): string {
  const head = `${request.method} ${request.target} HTTP/1.1\r\n${request.requestFields}${fields}`;
  const { requestBody, requestTrailers, requestComplete, upgrade } = request;
  if (request.requestFraming === "none") {
    return upgrade === "" ? `${head}\r\n` : `${head}connection: upgrade\r\nupgrade: ${upgrade}\r\n\r\n`;
  }
  if (request.requestFraming === "length") return `${head}content-length: ${request.requestLength}\r\n\r\n${requestBody}`;
  if (requestComplete && requestTrailers === "") return `${head}content-length: ${requestBody.length}\r\n\r\n${requestBody}`;
  const chunk = requestBody === "" ? "" : `${requestBody.length.toString(16)}\r\n${requestBody}\r\n`;
  const last = requestComplete ? `0\r\n${requestTrailers}\r\n` : "";
  return `${head}transfer-encoding: chunked\r\n\r\n${chunk}${last}`;
}

/** What a sidecar tells the next one: which attempt this is, what class it has, and how much time. */
export function hopFields(request: OutgoingRequest, nowMs: number): string {
  const number = request.attempt + request.incomingAttempt - 1;
  // The first attempt needs no field: absent means 1.
  const attempt = number > 1 ? `x-atoll-attempt: ${number}\r\n` : "";
  const priority = request.priority === defaultPriority ? "" : `x-atoll-priority: ${priorityClasses[request.priority] ?? ""}\r\n`;
  const leftMs = request.hopLeftMs(nowMs);
  return leftMs === Number.POSITIVE_INFINITY ? attempt + priority : `${attempt}${priority}x-atoll-timeout-ms: ${Math.max(0, Math.ceil(leftMs))}\r\n`;
}
