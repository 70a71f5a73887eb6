import { Client, credentials, Metadata, type ClientReadableStream, type MethodDefinition, type ServiceError, type StatusObject } from "@grpc/grpc-js";
import { spiffeWorkloadClientMethods, type JwtBundlesResponse, type ValidateJwtSvidResponse, type X509BundlesResponse, type X509SvidResponse } from "#federation/wire/spiffe-workload.ts";

/** What a stream has told so far, and how it ended. */
export interface Following<Response> {
  readonly messages: readonly Response[];
  readonly call: ClientReadableStream<Response>;
  readonly ended: Promise<StatusObject>;
  /** Resolves with the newest message once there are `count`. @throws {Error} when the stream ends before. */
  atLeast(count: number): Promise<Response>;
}

/** An application that asks for its identity, over a real socket. */
export class TestWorkload implements Disposable {
  readonly #client: Client;
  readonly #calls: ClientReadableStream<unknown>[] = [];

  constructor(path: string) {
    this.#client = new Client(`unix:${path}`, credentials.createInsecure());
  }

  /** `header`: the value of the standard's metadata; null leaves it out. */
  svids(header: string | null = "true"): Following<X509SvidResponse> {
    return this.#follow(spiffeWorkloadClientMethods.fetchX509Svid, header);
  }

  bundles(header: string | null = "true"): Following<X509BundlesResponse> {
    return this.#follow(spiffeWorkloadClientMethods.fetchX509Bundles, header);
  }

  jwtBundles(header: string | null = "true"): Following<JwtBundlesResponse> {
    return this.#follow(spiffeWorkloadClientMethods.fetchJwtBundles, header);
  }

  /** The token that it is given for `audience`. @throws grpc-js's errors. */
  async token(audience: readonly string[], spiffeId = ""): Promise<string> {
    return (await this.#call(spiffeWorkloadClientMethods.fetchJwtSvid, { audience, spiffeId })).svids[0]?.svid ?? "";
  }

  /** @throws grpc-js's errors. */
  async validate(audience: string, svid: string): Promise<ValidateJwtSvidResponse> {
    return await this.#call(spiffeWorkloadClientMethods.validateJwtSvid, { audience, svid });
  }

  async #call<Request, Response>({ path, requestSerialize, responseDeserialize }: MethodDefinition<Request, Response>, request: Request): Promise<Response> {
    const metadata = new Metadata();
    metadata.set("workload.spiffe.io", "true");
    return await new Promise((resolve, reject) => {
      this.#client.makeUnaryRequest(path, requestSerialize, responseDeserialize, request, metadata, (error, value) => (value === undefined ? reject(error ?? new Error("no answer")) : resolve(value)));
    });
  }

  /** How a call of any method ends that is refused. */
  async refusalOf(method: string, header: Metadata): Promise<ServiceError | null> {
    return await new Promise((resolve) => {
      this.#client.makeUnaryRequest(`/SpiffeWorkloadAPI/${method}`, () => Buffer.alloc(0), () => ({}), {}, header, (error) => resolve(error));
    });
  }

  #follow<Response>(method: { readonly path: string; readonly requestSerialize: (value: Record<string, never>) => Buffer; readonly responseDeserialize: (bytes: Buffer) => Response }, header: string | null): Following<Response> {
    const metadata = new Metadata();
    if (header !== null) metadata.set("workload.spiffe.io", header);
    const call = this.#client.makeServerStreamRequest(method.path, method.requestSerialize, method.responseDeserialize, {}, metadata);
    this.#calls.push(call);
    const messages: Response[] = [];
    let changed = Promise.withResolvers<void>();
    call.on("data", (message: Response) => {
      messages.push(message);
      changed.resolve();
      changed = Promise.withResolvers();
    });
    call.on("error", () => {
      // The status that follows says it.
    });
    const ended = new Promise<StatusObject>((resolve) => call.once("status", resolve));
    return {
      messages,
      call,
      ended,
      async atLeast(count) {
        const over = ended.then(({ code, details }) => Promise.reject(new Error(`the stream ended with ${code}: ${details}`)));
        while (messages.length < count) await Promise.race([changed.promise, over]);
        over.catch(() => undefined);
        return messages.at(-1) as Response;
      },
    };
  }

  [Symbol.dispose](): void {
    for (const call of this.#calls) call.cancel();
    this.#client.close();
  }
}
