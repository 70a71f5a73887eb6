import { Metadata, status } from "@grpc/grpc-js";
import type { CallOptions, Client, ClientDuplexStream, MethodDefinition, ServiceError } from "@grpc/grpc-js";
import { abortedError } from "#federation/runtime/clock.ts";
import { AtollError } from "#federation/runtime/errors.ts";
import { decodeDeltaRequest, decodeDeltaResponse, encodeDeltaRequest, encodeDeltaResponse } from "./discovery-messages.ts";
import type { DeltaRequest, DeltaResponse, ReceivedDeltaResponse } from "./discovery-messages.ts";
import { clusterCredentialsCodec, enrollRequestCodec, renewClusterRequestCodec } from "./signer-messages.ts";
import type { ClusterCredentials, EnrollRequest, RenewClusterRequest } from "./signer-messages.ts";
import { identityResponseCodec, joinRequestCodec, jwtRequestCodec, jwtResponseCodec, keyRenewalRequestCodec, renewRequestCodec, sessionAckCodec, sessionReportCodec } from "./workload-messages.ts";
import type { Codec, IdentityResponse, JoinRequest, JwtRequest, JwtResponse, KeyRenewalRequest, RenewRequest, SessionAck, SessionReport } from "./workload-messages.ts";

// Each definition goes to `server.addService(definition, handlers)` on one side, and one of its methods to
// `callUnary` or `openStream` on the other. What a peer sends wrong ends the call with INTERNAL by grpc-js.

/** Join port: a workload's first SVID, and the one after an SVID that mutual TLS may not take any more. */
export const joinService = {
  issueFirst: method<JoinRequest, IdentityResponse>("/atoll.workload.v1.Join/IssueFirst", "unary", joinRequestCodec, identityResponseCodec),
  renewByKey: method<KeyRenewalRequest, IdentityResponse>("/atoll.workload.v1.Join/RenewByKey", "unary", keyRenewalRequestCodec, identityResponseCodec),
} as const;

/** Discovery port: the next SVID of whoever holds one, and JWT-SVIDs. */
export const identityService = {
  renew: method<RenewRequest, IdentityResponse>("/atoll.workload.v1.Identity/Renew", "unary", renewRequestCodec, identityResponseCodec),
  issueJwt: method<JwtRequest, JwtResponse>("/atoll.workload.v1.Identity/IssueJwt", "unary", jwtRequestCodec, jwtResponseCodec),
} as const;

/** Discovery port: one stream for as long as an instance lives. Handlers: `handleBidiStreamingCall<SessionReport, SessionAck>`. */
export const registryService = {
  session: method<SessionReport, SessionAck>("/atoll.workload.v1.Registry/Session", "stream", sessionReportCodec, sessionAckCodec),
} as const;

/** Join port of the signer's plane: credentials of a cluster plane. */
export const signerService = {
  enrollCluster: method<EnrollRequest, ClusterCredentials>("/atoll.signer.v1.Signer/EnrollCluster", "unary", enrollRequestCodec, clusterCredentialsCodec),
  renewCluster: method<RenewClusterRequest, ClusterCredentials>(
    "/atoll.signer.v1.Signer/RenewCluster",
    "unary",
    renewClusterRequestCodec,
    clusterCredentialsCodec,
  ),
} as const;

/** Discovery port, the server's side: writes `DeltaResponse` with resources that are encoded already. */
export const discoveryService = {
  deltaAggregatedResources: {
    ...discoveryMethod(),
    responseSerialize: encodeDeltaResponse,
    responseDeserialize: notOnThisSide,
  } satisfies MethodDefinition<DeltaRequest, DeltaResponse>,
} as const;

/** The client's side of `discoveryService`: reads `ReceivedDeltaResponse`. */
export const discoveryClientMethod: MethodDefinition<DeltaRequest, ReceivedDeltaResponse> = {
  ...discoveryMethod(),
  responseSerialize: notOnThisSide,
  responseDeserialize: decodeDeltaResponse,
};

/** How long a call may take, and what ends it before. */
export interface CallLimits {
  readonly deadlineMs: number;
  readonly nowMs: number;
  readonly signal: AbortSignal;
}

/**
 * One call that ends with one answer, or with grpc-js's `ServiceError`; aborting cancels it.
 * @throws {ATOLL_ABORTED} when `signal` aborts first.
 */
export function callUnary<Request, Response>(
  client: Client,
  definition: MethodDefinition<Request, Response>,
  request: Request,
  options: CallLimits,
): Promise<Response> {
  return new Promise((resolve, reject) => {
    if (options.signal.aborted) {
      reject(abortedError(options.signal));
      return;
    }
    const { path, requestSerialize, responseDeserialize } = definition;
    const callOptions: CallOptions = { deadline: options.nowMs + options.deadlineMs };
    const onAbort = (): void => call.cancel();
    const call = client.makeUnaryRequest(path, requestSerialize, responseDeserialize, request, new Metadata(), callOptions, (error, value) => {
      options.signal.removeEventListener("abort", onAbort);
      if (error === null && value !== undefined) resolve(value);
      else if (options.signal.aborted) reject(abortedError(options.signal));
      else reject(error ?? new AtollError("ATOLL_WIRE_INVALID", `no answer in a successful call of ${path}`));
    });
    options.signal.addEventListener("abort", onAbort, { once: true });
  });
}

/** Opens a stream in both directions; aborting cancels it. The caller handles its `error` event. */
export function openStream<Request, Response>(
  client: Client,
  definition: MethodDefinition<Request, Response>,
  signal: AbortSignal,
): ClientDuplexStream<Request, Response> {
  const { path, requestSerialize, responseDeserialize } = definition;
  const stream = client.makeBidiStreamRequest(path, requestSerialize, responseDeserialize, new Metadata());
  const onAbort = (): void => stream.cancel();
  signal.addEventListener("abort", onAbort, { once: true });
  stream.once("status", () => signal.removeEventListener("abort", onAbort));
  if (signal.aborted) stream.cancel();
  return stream;
}

/** True for an error of grpc-js that says one of `codes`, e.g. `status.UNAVAILABLE`. */
export function isServiceError(error: unknown, ...codes: readonly status[]): error is ServiceError {
  return error instanceof Error && "code" in error && codes.some((code) => code === error.code);
}

function method<Request, Response>(
  path: string,
  kind: "unary" | "stream",
  request: Codec<Request>,
  response: Codec<Response>,
): MethodDefinition<Request, Response> {
  return {
    path,
    requestStream: kind === "stream",
    responseStream: kind === "stream",
    requestSerialize: (value) => asBuffer(request.encode(value)),
    requestDeserialize: request.decode,
    responseSerialize: (value) => asBuffer(response.encode(value)),
    responseDeserialize: response.decode,
  };
}

function discoveryMethod() {
  return {
    path: "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources",
    requestStream: true,
    responseStream: true,
    requestSerialize: (value: DeltaRequest): Buffer => asBuffer(encodeDeltaRequest(value)),
    requestDeserialize: decodeDeltaRequest,
  } as const;
}

function notOnThisSide(): never {
  throw new AtollError("ATOLL_WIRE_INVALID", "discovery responses are written by the server and read by the client only");
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
