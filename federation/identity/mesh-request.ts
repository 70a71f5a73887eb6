import { request as httpsRequest } from "node:https";
import type { IncomingHttpHeaders, IncomingMessage } from "node:http";
import { AtollError } from "#federation/runtime/errors.ts";
import { abortedError } from "#federation/runtime/clock.ts";
import { createClientTlsOptions, type ClientTlsOptions } from "./tls-options.ts";

/** One HTTPS request to a server known by its SPIFFE ID. */
export interface MeshRequest {
  /** `https://host:port/path`; the host is only where to connect, never who answers. */
  readonly url: string;
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** Sent as JSON. */
  readonly json?: unknown;
  readonly tls: ClientTlsOptions;
  /** Larger answers are refused. Default 1 MiB. */
  readonly responseLimitBytes?: number;
}

/** An answer with its whole body. */
export interface MeshResponse {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

const responseLimitBytesDefault = 1024 * 1024;

/**
 * Sends one request over a connection of its own, mutually authenticated, following no redirect. Any status is an answer.
 * @throws {ATOLL_PEER_UNVERIFIED} when the server is not who it should be.
 * @throws {ATOLL_PEER_UNAVAILABLE} when it cannot be reached, breaks off, or answers more than the limit.
 * @throws {ATOLL_ABORTED} when `signal` aborts.
 */
export function sendMeshRequest(request: MeshRequest, signal: AbortSignal): Promise<MeshResponse> {
  const payload = request.json === undefined ? undefined : JSON.stringify(request.json);
  return new Promise((resolve, reject) => {
    const fail = (error: unknown): void => reject(signal.aborted ? abortedError(signal) : asPeerError(request.url, error));
    const outgoing = httpsRequest(
      request.url,
      {
        ...createClientTlsOptions(request.tls),
        // No agent: an agent's pool would hand this connection to a request that expects another identity.
        agent: false,
        method: request.method ?? (payload === undefined ? "GET" : "POST"),
        headers: {
          accept: "application/json",
          ...(payload === undefined ? {} : { "content-type": "application/json", "content-length": String(Buffer.byteLength(payload)) }),
          ...request.headers,
        },
        signal,
      },
      (incoming) => {
        readBody(incoming, request.responseLimitBytes ?? responseLimitBytesDefault).then(
          (body) => resolve({ status: incoming.statusCode ?? 0, headers: incoming.headers, body }),
          (error: unknown) => {
            outgoing.destroy();
            fail(error);
          },
        );
      },
    );
    outgoing.on("error", fail);
    outgoing.end(payload);
  });
}

/** `sendMeshRequest` with the answer read as JSON. @throws {ATOLL_PEER_UNAVAILABLE} also when the answer is not JSON. */
export async function fetchMeshJson(request: MeshRequest, signal: AbortSignal): Promise<{ readonly status: number; readonly json: unknown }> {
  const response = await sendMeshRequest(request, signal);
  try {
    return { status: response.status, json: JSON.parse(response.body.toString("utf8")) as unknown };
  } catch (error) {
    throw new AtollError("ATOLL_PEER_UNAVAILABLE", "the answer is not JSON", { cause: error, details: { status: response.status } });
  }
}

async function readBody(incoming: IncomingMessage, limitBytes: number): Promise<Buffer> {
  const parts: Buffer[] = [];
  let lengthBytes = 0;
  for await (const part of incoming as AsyncIterable<Buffer>) {
    lengthBytes += part.length;
    if (lengthBytes > limitBytes) throw new AtollError("ATOLL_PEER_UNAVAILABLE", `the answer exceeds ${limitBytes} bytes`);
    parts.push(part);
  }
  return Buffer.concat(parts);
}

/** Certificate faults carry OpenSSL's verification codes; everything else is a matter of reaching the peer. */
function asPeerError(url: string, error: unknown): AtollError {
  if (error instanceof AtollError) return error;
  const code = error instanceof Error && "code" in error ? String(error.code) : "";
  // UNSPECIFIED is Node's code for a breach of name constraints.
  const judged = /^UNSPECIFIED$|CERT|ISSUER|SUBTREE|SIGNATURE|PURPOSE|VERIFY|PERMITTED|INVALID_CA/.test(code);
  return new AtollError(judged ? "ATOLL_PEER_UNVERIFIED" : "ATOLL_PEER_UNAVAILABLE", `request to ${new URL(url).host} failed`, { cause: error });
}
