import { status, type sendUnaryData, type ServerUnaryCall, type UntypedServiceImplementation } from "@grpc/grpc-js";
import { describeError } from "#federation/runtime/errors.ts";
import type { createHandlers, HandlerOptions } from "./handlers.ts";
import { services } from "./protocol/definitions.ts";

type Handlers = ReturnType<typeof createHandlers>;
type UnaryHandler = (call: ServerUnaryCall<object, object>, answer: sendUnaryData<object>) => void;

/**
 * The provider's handlers, whose code is read when `load` is called or at the first call, whichever is first: the schemas and parsers
 * of the model are half of the program, and Terraform, which waits for the port alone, makes its connection meanwhile.
 * Where that code cannot be read, each call fails and says why.
 */
export class LazyHandlers implements Disposable {
  readonly implementation: UntypedServiceImplementation;
  readonly #options: HandlerOptions;
  #loading: Promise<Handlers> | undefined;
  #loaded: Handlers | undefined;
  #isDisposed = false;

  constructor(options: HandlerOptions) {
    this.#options = options;
    this.implementation = Object.fromEntries(Object.keys(services.provider).map((name) => [name, this.#calling(name)]));
  }

  load(): void {
    this.#handlers().catch(() => undefined);
  }

  [Symbol.dispose](): void {
    this.#isDisposed = true;
    this.#loaded?.[Symbol.dispose]();
  }

  #handlers(): Promise<Handlers> {
    this.#loading ??= this.#create();
    return this.#loading;
  }

  async #create(): Promise<Handlers> {
    const handlers = (await import("./handlers.ts")).createHandlers(this.#options);
    this.#loaded = handlers;
    if (this.#isDisposed) handlers[Symbol.dispose]();
    return handlers;
  }

  #calling(name: string): UnaryHandler {
    return (call, answer) => {
      this.#handlers().then(
        (handlers) => {
          const handler = handlers[name] as UnaryHandler | undefined;
          if (handler === undefined) answer({ code: status.UNIMPLEMENTED, details: `the provider has no ${name}` });
          else handler(call, answer);
        },
        (error: unknown) => answer({ code: status.INTERNAL, details: describeError(error) }),
      );
    };
  }
}
