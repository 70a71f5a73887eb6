import { request, type RequestOptions } from "node:https";
import type { IncomingMessage } from "node:http";
import { isIP } from "node:net";
import { createAnchors } from "#federation/identity/anchors.ts";
import { parseBundle } from "#federation/identity/bundle-jwks.ts";
import { acceptExactly, createClientTlsOptions } from "#federation/identity/tls-options.ts";
import { federatedBundleBytesMax } from "#federation/model/federated-trust-domain.ts";
import type { TrustDomainName } from "#federation/model/names.ts";
import type { BundleEndpointSpec } from "#federation/model/resource.ts";
import type { TrustBundle } from "#federation/model/trust-bundle.ts";
import { deadlineSignal, type Clock } from "#federation/runtime/clock.ts";
import { bareHost } from "#federation/runtime/dns/host-name.ts";
import type { NameLookup } from "#federation/runtime/dns/name-lookup.ts";
import { isAtollError } from "#federation/runtime/errors.ts";
import { isDialledForBundles } from "./endpoint-address.ts";

/** Bounds of one fetch. */
export const fetchLimits = { timeoutMs: 10_000, headerBytes: 8 * 1024, addresses: 4 } as const;

/** Why there is no newer bundle: a word for programs and metrics. The last four are found by whoever takes what was fetched. */
export const fetchFaultReasons = ["address", "name", "unreachable", "time", "identity", "answer", "size", "document", "sequence", "empty", "store", "own"] as const;
export type FetchFaultReason = (typeof fetchFaultReasons)[number];

/** What went wrong, in words of ours: of what the other side has sent there is at most the identity that it proved. */
export interface FetchFault {
  readonly reason: FetchFaultReason;
  readonly message: string;
}

export type FetchOutcome = { readonly kind: "fetched"; readonly bundle: TrustBundle } | ({ readonly kind: "failed" } & FetchFault);

/** One question: which trust domain, where, and by what the answer is verified. */
export interface FetchQuestion {
  /** From configuration, never from the document. */
  readonly trustDomain: TrustDomainName;
  readonly url: string;
  readonly endpoint: Pick<BundleEndpointSpec, "profile" | "webRootsPem" | "spiffeId">;
  /** What is believed of the trust domain now: verifies the endpoint with `https_spiffe`. */
  readonly believed: TrustBundle | undefined;
}

export interface FetchOptions {
  readonly lookup: NameLookup;
  /** Where this plane listens. */
  readonly ownAddress: string;
  readonly clock: Clock;
}

/** Fetches one URL. It rejects only when `signal` aborts; what goes wrong is an outcome. */
export type FetchBundle = (question: FetchQuestion, signal: AbortSignal) => Promise<FetchOutcome>;

/** Fetches by HTTPS, as the profiles of SPIFFE Federation have it (section 5.2): one request, no redirect, every bound in `fetchLimits`. */
export function createBundleFetch({ lookup, ownAddress, clock }: FetchOptions): FetchBundle {
  return async (question, signal) => {
    using deadline = deadlineSignal(clock, fetchLimits.timeoutMs, signal);
    const url = new URL(question.url);
    const { hostname } = url;
    try {
      const addresses = await addressesOf(bareHost(url), lookup, deadline.signal);
      if (addresses.length === 0) return failed("name", `${hostname} does not resolve`);
      const dialled = addresses.filter((address) => isDialledForBundles(address, ownAddress)).slice(0, fetchLimits.addresses);
      if (dialled.length === 0) return failed("address", `${hostname} is no address that bundles are fetched from`);
      return await askEach(question, dialled, deadline.signal);
    } catch (error) {
      if (signal.aborted) throw error;
      return outcomeOf(deadline.signal.aborted ? deadline.signal.reason : error);
    }
  };
}

async function addressesOf(host: string, lookup: NameLookup, signal: AbortSignal): Promise<readonly string[]> {
  if (isIP(host) !== 0) return [host];
  const { v4, v6 } = await lookup(host, signal);
  return [v4, v6].flatMap((answer) => (answer.kind === "found" ? answer.addresses : []));
}

/** The next address only where one could not be reached: whoever answers speaks for the name. */
async function askEach(question: FetchQuestion, addresses: readonly string[], signal: AbortSignal): Promise<FetchOutcome> {
  let outcome: FetchOutcome = failed("unreachable", "it has no address");
  for (const address of addresses) {
    outcome = await ask(question, address, signal);
    if (outcome.kind === "fetched" || outcome.reason !== "unreachable") return outcome;
  }
  return outcome;
}

async function ask(question: FetchQuestion, address: string, signal: AbortSignal): Promise<FetchOutcome> {
  const tls = tlsOf(question);
  if (tls === undefined) return failed("identity", "there is no bundle yet by which its endpoint could be verified");
  let answer: { readonly status: number; readonly body: string | undefined };
  try {
    answer = await get(new URL(question.url), address, tls, signal);
  } catch (error) {
    if (signal.aborted) throw error;
    return outcomeOf(error);
  }
  if (answer.status !== 200) return failed("answer", `it answered with status ${answer.status}${answer.status >= 300 && answer.status < 400 ? ", and redirects are not followed" : ""}`);
  if (answer.body === undefined) return failed("size", `its document is larger than ${federatedBundleBytesMax} bytes`);
  try {
    return { kind: "fetched", bundle: parseBundle(answer.body, question.trustDomain) };
  } catch (error) {
    if (isAtollError(error, "ATOLL_BUNDLE_INVALID")) return failed("document", error.message);
    throw error;
  }
}

function tlsOf({ url, endpoint, believed }: FetchQuestion): RequestOptions | undefined {
  const host = bareHost(new URL(url));
  const servername = isIP(host) === 0 ? host : "";
  if (endpoint.profile === "https_web") return { servername, minVersion: "TLSv1.2", ...(endpoint.webRootsPem === undefined ? {} : { ca: endpoint.webRootsPem }) };
  if (believed === undefined || endpoint.spiffeId === undefined) return undefined;
  return createClientTlsOptions({ anchors: createAnchors([believed]), servername, accept: acceptExactly([endpoint.spiffeId]) });
}

/** `body` is undefined where it is too large; of another status than 200 none is read. */
function get(url: URL, address: string, tls: RequestOptions, signal: AbortSignal): Promise<{ readonly status: number; readonly body: string | undefined }> {
  return new Promise((resolve, reject) => {
    const headers = { host: url.host, accept: "application/json", "accept-encoding": "identity", connection: "close" };
    const asked = request({ ...tls, host: address, port: url.port === "" ? 443 : url.port, path: url.pathname + url.search, method: "GET", headers, agent: false, maxHeaderSize: fetchLimits.headerBytes, signal });
    asked.on("error", reject);
    asked.on("response", (response) => {
      const status = response.statusCode ?? 0;
      const reading = status === 200 ? readBody(response) : Promise.resolve("");
      reading.then((body) => resolve({ status, body }), reject).finally(() => asked.destroy());
    });
    asked.end();
  });
}

async function readBody(response: IncomingMessage): Promise<string | undefined> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > federatedBundleBytesMax) return undefined;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString("utf8");
}

const networkCodes = new Set(["ECONNREFUSED", "ECONNRESET", "EHOSTUNREACH", "ENETUNREACH", "ETIMEDOUT", "EPIPE", "EADDRNOTAVAIL", "ECONNABORTED"]);

/** Whether a connection came about tells a stranger's port open or closed; more than that and the word of the library is not passed on. */
function outcomeOf(error: unknown): FetchOutcome {
  const code = error instanceof Error && "code" in error ? String(error.code) : "";
  if (code === "ATOLL_TIMEOUT") return failed("time", `it did not answer within ${fetchLimits.timeoutMs / 1_000} s`);
  if (networkCodes.has(code)) return failed("unreachable", `it cannot be reached (${code})`);
  if (isAtollError(error, "ATOLL_PEER_UNVERIFIED")) return failed("identity", error.message);
  if (code.startsWith("HPE_")) return failed("answer", "what it answered is not HTTP");
  return failed("identity", `it did not prove who it is (${/^[A-Z0-9_]{1,64}$/.test(code) ? code : "handshake"})`);
}

function failed(reason: FetchFaultReason, message: string): FetchOutcome {
  return { kind: "failed", reason, message };
}
