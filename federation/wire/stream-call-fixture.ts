import { Client, credentials, Server, ServerCredentials, type handleBidiStreamingCall, type MethodDefinition, type StatusObject } from "@grpc/grpc-js";
import { openStream } from "./grpc-services.ts";

/** How a stream went for its caller. */
export interface CallOutcome {
  /** Answers that came. */
  readonly answers: number;
  readonly code: number;
  readonly details: string;
}

/** Serves one streaming method on a port of 127.0.0.1, calls it, sends `requests`, and waits for the server to end the call. */
export async function callOnce<Request, Response>(method: MethodDefinition<Request, Response>, handle: handleBidiStreamingCall<Request, Response>, requests: readonly Request[]): Promise<CallOutcome> {
  const server = new Server();
  server.addService({ called: method }, { called: handle });
  const port = await new Promise<number>((resolve, reject) => server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, bound) => (error === null ? resolve(bound) : reject(error))));
  const client = new Client(`127.0.0.1:${port}`, credentials.createInsecure());
  try {
    // Only how many came is asked.
    const stream = openStream(client, { ...method, responseDeserialize: (bytes) => bytes as unknown as Response }, new AbortController().signal);
    let answers = 0;
    stream.on("data", () => answers++);
    stream.on("error", () => {
      // The status says it.
    });
    for (const request of requests) stream.write(request);
    const { code, details } = await new Promise<StatusObject>((resolve) => stream.once("status", resolve));
    return { answers, code, details };
  } finally {
    client.close();
    server.forceShutdown();
  }
}
