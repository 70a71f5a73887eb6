import type { IncomingMessage } from "node:http";
import { attestationLimits } from "#federation/model/attestation.ts";
import { abortedError } from "#federation/runtime/clock.ts";
import { AtollError, describeError } from "#federation/runtime/errors.ts";
import { request as httpRequest } from "#federation/runtime/node-http.ts";

/** One question to the service that a cloud answers its own machines with. Plain HTTP: it never leaves the host. */
export interface MetadataQuestion {
  readonly url: string;
  readonly method?: "GET" | "PUT";
  readonly headers: Readonly<Record<string, string>>;
}

/** A machine's own host answers at once, or there is none. */
const silenceMs = 5_000;

/**
 * The text that the metadata service answers with 200; no redirect is followed and no proxy is asked.
 * @throws {ATOLL_EVIDENCE_UNAVAILABLE} otherwise, without the answer. @throws {ATOLL_ABORTED}
 */
export async function askMetadata({ url, method = "GET", headers }: MetadataQuestion, signal: AbortSignal): Promise<string> {
  try {
    return await new Promise((resolve, reject) => {
      const outgoing = httpRequest(url, { method, headers, signal, timeout: silenceMs, agent: false }, (response) => void readText(response).then(resolve, reject));
      outgoing.on("timeout", () => outgoing.destroy(new Error(`no answer for ${silenceMs} ms`)));
      outgoing.on("error", reject);
      outgoing.end();
    });
  } catch (cause) {
    if (signal.aborted) throw abortedError(signal);
    throw new AtollError("ATOLL_EVIDENCE_UNAVAILABLE", `the metadata service gave nothing at ${url}: ${describeError(cause)}`, { cause });
  }
}

async function readText(response: IncomingMessage): Promise<string> {
  if (response.statusCode !== 200) {
    response.destroy();
    throw new Error(`it answered ${response.statusCode}`);
  }
  const parts: Buffer[] = [];
  let bytes = 0;
  for await (const part of response as AsyncIterable<Buffer>) {
    bytes += part.length;
    if (bytes > attestationLimits.documentLength) throw new Error(`it answered more than ${attestationLimits.documentLength} bytes`);
    parts.push(part);
  }
  return Buffer.concat(parts).toString("utf8").trim();
}
