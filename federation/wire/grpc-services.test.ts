import { credentials, Client, Server, ServerCredentials, status } from "@grpc/grpc-js";
import type { handleBidiStreamingCall, handleUnaryCall } from "@grpc/grpc-js";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { systemClock } from "#federation/runtime/clock.ts";
import { encodeResource } from "./discovery-messages.ts";
import type { DeltaRequest, DeltaResponse } from "./discovery-messages.ts";
import { callUnary, discoveryClientMethod, discoveryService, isServiceError, joinService, openStream } from "./grpc-services.ts";
import type { IdentityResponse, JoinRequest } from "./workload-messages.ts";

const issueFirst: handleUnaryCall<JoinRequest, IdentityResponse> = ({ request }, callback) => {
  if (request.token === "bad") callback({ code: status.UNAUTHENTICATED, details: "no" });
  else if (request.token !== "never") callback(null, { certificateChain: [request.csr], bundles: [], discoveryAddresses: ["127.0.0.1:7410"] });
};
const deltaAggregatedResources: handleBidiStreamingCall<DeltaRequest, DeltaResponse> = (call) => {
  call.on("data", ({ typeUrl, subscribe }: DeltaRequest) => {
    const resources = subscribe.map((name) => encodeResource({ name, version: "1", typeUrl, value: Uint8Array.of(9) }));
    call.write({ typeUrl, nonce: "1", systemVersion: "1", resources, removed: [] });
  });
  call.on("end", () => call.end());
};

describe("gRPC services", () => {
  let server: Server;
  let client: Client;
  beforeEach(async () => {
    server = new Server();
    server.addService(joinService, { issueFirst });
    server.addService(discoveryService, { deltaAggregatedResources });
    const port = await new Promise<number>((resolve, reject) => {
      server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, bound) => (error === null ? resolve(bound) : reject(error)));
    });
    client = new Client(`127.0.0.1:${port}`, credentials.createInsecure());
  });
  afterEach(() => {
    client.close();
    server.forceShutdown();
  });

  const call = (token: string, signal: AbortSignal): Promise<IdentityResponse> =>
    callUnary(client, joinService.issueFirst, { token, csr: Uint8Array.of(1) }, { deadlineMs: 10_000, nowMs: systemClock.nowMs(), signal });

  it("answer a call, and say why not", async () => {
    const { signal } = new AbortController();
    expect(await call("good", signal)).toEqual({ certificateChain: [Uint8Array.of(1)], bundles: [], discoveryAddresses: ["127.0.0.1:7410"] });
    const error: unknown = await call("bad", signal).catch((reason: unknown) => reason);
    expect(isServiceError(error, status.UNAUTHENTICATED)).toBe(true);
  });

  it("cancel a call with its signal", async () => {
    const controller = new AbortController();
    const pending = call("never", controller.signal);
    controller.abort();
    await expect(pending).rejects.toMatchObject({ code: "ATOLL_ABORTED" });
  });

  it("stream discovery both ways", async () => {
    const controller = new AbortController();
    const stream = openStream(client, discoveryClientMethod, controller.signal);
    stream.on("error", () => undefined);
    const received = new Promise((resolve) => stream.once("data", resolve));
    stream.write({ typeUrl: "t", subscribe: ["a"], unsubscribe: [], initialVersions: {}, responseNonce: "" });
    expect(await received).toEqual({
      typeUrl: "t",
      nonce: "1",
      systemVersion: "1",
      resources: [{ name: "a", version: "1", typeUrl: "t", value: Uint8Array.of(9) }],
      removed: [],
    });
    const closed = new Promise((resolve) => stream.once("status", resolve));
    controller.abort();
    await closed;
  });
});
