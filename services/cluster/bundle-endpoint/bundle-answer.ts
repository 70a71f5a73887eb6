import { createHash } from "node:crypto";
import { encodeBundle } from "#federation/identity/bundle-jwks.ts";
import type { TrustBundle } from "#federation/model/trust-bundle.ts";

/** A bundle as it goes out. */
export interface BundleDocument {
  readonly text: string;
  /** With its quotation marks. The same wherever the same document is served. */
  readonly etag: string;
}

/** What of a request counts. */
export interface BundleRequest {
  readonly method: string;
  /** As it stands in the request line. */
  readonly target: string;
  readonly ifNoneMatch: string | undefined;
}

export interface BundleAnswer {
  readonly status: 200 | 304 | 404 | 405;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

export function createBundleDocument(bundle: TrustBundle): BundleDocument {
  const text = encodeBundle(bundle);
  return { text, etag: `"${createHash("sha256").update(text).digest("base64url")}"` };
}

/** Who may hold a copy asks each time whether it is still the one: how often, the document's refresh hint says, not a cache on the way. */
const cacheControl = "no-cache";

/** What the endpoint answers. Only `/` is there, only to be read. */
export function answerBundleRequest({ method, target, ifNoneMatch }: BundleRequest, { text, etag }: BundleDocument): BundleAnswer {
  if (pathnameOf(target) !== "/") return refusal(404, "the bundle is at /\n");
  if (method !== "GET" && method !== "HEAD") return refusal(405, "the bundle can only be read\n", { allow: "GET, HEAD" });
  const headers = { etag, "cache-control": cacheControl };
  if (ifNoneMatch !== undefined && matches(ifNoneMatch, etag)) return { status: 304, headers, body: "" };
  return { status: 200, headers: { ...headers, "content-type": "application/json", "content-length": String(Buffer.byteLength(text)) }, body: text };
}

function refusal(status: 404 | 405, body: string, more: Readonly<Record<string, string>> = {}): BundleAnswer {
  return { status, headers: { ...more, "content-type": "text/plain", "content-length": String(body.length) }, body };
}

/** Of a path, or of a whole URL, which a server has to take too (RFC 9112, section 3.2.2). */
function pathnameOf(target: string): string | undefined {
  const base = "https://endpoint";
  // `//host` would be read as another host's root.
  return target.startsWith("//") || !URL.canParse(target, base) ? undefined : new URL(target, base).pathname;
}

/** By the weak comparison, as RFC 9110, section 13.1.2, has it. */
function matches(ifNoneMatch: string, etag: string): boolean {
  return ifNoneMatch.split(",").some((one) => ["*", etag, `W/${etag}`].includes(one.trim()));
}
