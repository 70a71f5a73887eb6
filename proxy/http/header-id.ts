/** Header fields that the proxy acts on; all others have the id 0. */
export const headerIds = {
  other: 0,
  host: 1,
  connection: 2,
  contentLength: 3,
  transferEncoding: 4,
  upgrade: 5,
  expect: 6,
  keepAlive: 7,
  proxyConnection: 8,
  te: 9,
  trailer: 10,
  proxyAuthorization: 11,
  proxyAuthenticate: 12,
  forwardedClientCert: 13,
  atoll: 14,
  traceparent: 15,
  contentType: 16,
  userAgent: 17,
  forwardedFor: 18,
  requestId: 19,
  atollAttempt: 20,
  atollReason: 21,
  atollPriority: 22,
  atollTimeout: 23,
  grpcTimeout: 24,
  envoyTimeout: 25,
} as const;

/** How many header ids there are: the length of tables indexed by one. */
export const headerIdCount = 26;

const atollPrefix = "x-atoll-";

/** The id of the field name at `start` of `length` bytes in `buffer`; case does not matter. No allocation. */
export function headerId(buffer: Uint8Array, start: number, length: number): number {
  const known = knownId(buffer, start, length);
  if (known !== headerIds.other || length < atollPrefix.length) return known;
  return match(buffer, start, atollPrefix, headerIds.atoll);
}

function knownId(buffer: Uint8Array, start: number, length: number): number {
  switch (length) {
    case 2:
      return match(buffer, start, "te", headerIds.te);
    case 4:
      return match(buffer, start, "host", headerIds.host);
    case 6:
      return match(buffer, start, "expect", headerIds.expect);
    case 7:
      return match(buffer, start, "upgrade", headerIds.upgrade) || match(buffer, start, "trailer", headerIds.trailer);
    case 10:
      return (
        match(buffer, start, "user-agent", headerIds.userAgent) ||
        match(buffer, start, "connection", headerIds.connection) ||
        match(buffer, start, "keep-alive", headerIds.keepAlive)
      );
    case 11:
      return match(buffer, start, "traceparent", headerIds.traceparent);
    case 12:
      return (
        match(buffer, start, "content-type", headerIds.contentType) ||
        match(buffer, start, "x-request-id", headerIds.requestId) ||
        match(buffer, start, "grpc-timeout", headerIds.grpcTimeout)
      );
    case 14:
      return match(buffer, start, "content-length", headerIds.contentLength) || match(buffer, start, "x-atoll-reason", headerIds.atollReason);
    case 15:
      return match(buffer, start, "x-forwarded-for", headerIds.forwardedFor) || match(buffer, start, "x-atoll-attempt", headerIds.atollAttempt);
    case 16:
      return match(buffer, start, "proxy-connection", headerIds.proxyConnection) || match(buffer, start, "x-atoll-priority", headerIds.atollPriority);
    case 17:
      return match(buffer, start, "transfer-encoding", headerIds.transferEncoding);
    case 18:
      return match(buffer, start, "proxy-authenticate", headerIds.proxyAuthenticate) || match(buffer, start, "x-atoll-timeout-ms", headerIds.atollTimeout);
    case 19:
      return match(buffer, start, "proxy-authorization", headerIds.proxyAuthorization);
    case 23:
      return match(buffer, start, "x-forwarded-client-cert", headerIds.forwardedClientCert);
    case 30:
      return match(buffer, start, "x-envoy-upstream-rq-timeout-ms", headerIds.envoyTimeout);
    default:
      return headerIds.other;
  }
}

/** `expected` is lower case. Setting bit 5 folds letters, and maps no other token character onto a letter or dash. */
function match(buffer: Uint8Array, start: number, expected: string, id: number): number {
  for (let at = 0; at < expected.length; at++) {
    if (((buffer[start + at] ?? 0) | 0x20) !== expected.charCodeAt(at)) return headerIds.other;
  }
  return id;
}
