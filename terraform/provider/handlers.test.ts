import type { sendUnaryData, ServerUnaryCall } from "@grpc/grpc-js";
import { describe, expect, it } from "vitest";
import { readDynamic, unknown, writeDynamic, type CtyObject } from "./cty/values.ts";
import { createHandlers } from "./handlers.ts";
import type { Diagnostic, DynamicValue } from "./protocol/messages.ts";

interface Answer {
  readonly diagnostics?: readonly Diagnostic[];
  readonly new_state?: DynamicValue;
  readonly private?: Uint8Array;
}

/** Calls the provider as Terraform does, but without a wire. */
function createCaller(environment: Readonly<Record<string, string>>): (method: string, request: object) => Promise<Answer> {
  const handlers = createHandlers({ environment, stopping: new AbortController() });
  return (method, request) =>
    new Promise((resolve, reject) => {
      const handler = handlers[method] as (call: ServerUnaryCall<object, Answer>, answer: sendUnaryData<Answer>) => void;
      handler({ request } as ServerUnaryCall<object, Answer>, (error, answer) => (error === null ? resolve(answer ?? {}) : reject(new Error(method, { cause: error }))));
    });
}

const configured = (context: CtyObject["context"]): object => ({ config: writeDynamic({ context: context ?? null, timeout_seconds: null }) });
const region: CtyObject = { name: "eu", labels: null, display_name: null, coordinates: null, residency: null, id: "eu", generation: 3 };
const reading = { type_name: "atoll_region", current_state: writeDynamic(region), private: Buffer.from('{"revision":7}') };

describe("the provider's context", () => {
  it("lets what is known stand while it is to come, since whoever would be asked is about to be started", async () => {
    const call = createCaller({});
    expect(await call("ConfigureProvider", configured(unknown))).toEqual({});
    const read = await call("ReadResource", reading);
    expect(readDynamic(read.new_state)).toEqual(region);
    expect(read).toMatchObject({ private: reading.private });
    expect(read.diagnostics).toBeUndefined();
  });

  it("may be empty for a provider of units, which then says so to whoever needs planes", async () => {
    const call = createCaller({});
    expect(await call("ConfigureProvider", configured(""))).toEqual({});
    const { diagnostics } = await call("ReadResource", reading);
    expect(diagnostics).toMatchObject([{ detail: expect.stringContaining("knows units of this machine, and no planes") as string }]);
  });

  it("is asked for where neither the configuration nor the environment has it", async () => {
    const { diagnostics } = await createCaller({ ATOLL_CONTEXT: "" })("ConfigureProvider", configured(null));
    expect(diagnostics).toMatchObject([{ summary: "The provider does not know where the federation is.", attribute: { steps: [{ attribute_name: "context" }] } }]);
  });
});
