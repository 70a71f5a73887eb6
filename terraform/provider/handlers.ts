import type { sendUnaryData, ServerUnaryCall, UntypedServiceImplementation } from "@grpc/grpc-js";
import { AtollError } from "#federation/runtime/errors.ts";
import { dataSources, ephemerals, providerSchema, resources } from "./catalog.ts";
import { isObject, isWhollyKnown, readDynamic, unknown, writeDynamic, type CtyObject, type CtyValue } from "./cty/values.ts";
import { attribute, diagnosticsOf, errorAt } from "./diagnostics.ts";
import type { ManagedResource, Private, ReadSource } from "./managed.ts";
import { planChange } from "./plan.ts";
import { ContextPlanes, noPlanes, type Environment, type ProviderPlanes } from "./planes.ts";
import type { Diagnostic, DynamicValue, ProtoSchema } from "./protocol/messages.ts";
import { toProto, type Schema } from "./schema/to-proto.ts";

/** How long one call of an admin API may take: unless told, and at most. */
const timeoutSeconds = { usual: 30, max: 600 } as const;

const capabilities = { plan_destroy: false, get_provider_schema_optional: true, move_resource_state: false };

interface Request {
  readonly type_name: string;
  readonly config: DynamicValue | null;
  readonly current_state: DynamicValue | null;
  readonly prior_state: DynamicValue | null;
  readonly proposed_new_state: DynamicValue | null;
  readonly planned_state: DynamicValue | null;
  readonly private: Uint8Array;
  readonly prior_private: Uint8Array;
  readonly planned_private: Uint8Array;
  readonly raw_state: { readonly json: Uint8Array } | null;
  readonly id: string;
}

type Answer = Readonly<Record<string, unknown>>;

export interface HandlerOptions {
  /** Terraform's: ATOLL_CONTEXT names the context file that counts where the configuration names none, and units of this machine run in it. */
  readonly environment: Environment;
  /** Aborts what is under way when Terraform stops the provider. */
  readonly stopping: AbortController;
}

/** The provider's side of the plugin protocol. No handler ever fails a call: what goes wrong is a diagnostic of its answer. */
export function createHandlers(options: HandlerOptions): UntypedServiceImplementation & Disposable {
  const { stopping, environment } = options;
  let planes: ContextPlanes | undefined;
  let whyNone = "the provider's configuration is not known yet: its context depends on something that is made by this very apply";
  /** What makes the context is about to be made, again or for the first time: there is nobody to ask yet. */
  let isContextToCome = false;
  const ready = (): ProviderPlanes => planes ?? noPlanes(whyNone, environment);
  const methods: Readonly<Record<string, (request: Request) => Answer | Promise<Answer>>> = {
    GetMetadata: () => ({
      server_capabilities: capabilities,
      resources: namesOf(resources),
      data_sources: namesOf(dataSources),
      ephemeral_resources: namesOf(ephemerals),
    }),
    GetProviderSchema: () => ({
      server_capabilities: capabilities,
      provider: toProto(providerSchema),
      resource_schemas: schemasOf(resources),
      data_source_schemas: schemasOf(dataSources),
      ephemeral_resource_schemas: schemasOf(ephemerals),
    }),
    ValidateProviderConfig: ({ config }) => ({ diagnostics: configFaults(objectOf(config)) }),
    ConfigureProvider: ({ config }) => {
      const { context, timeout_seconds: timeout } = objectOf(config);
      isContextToCome = context === unknown;
      if (isContextToCome) return {};
      if (context === "") {
        whyNone = "this provider's context is empty: it knows units of this machine, and no planes";
        return {};
      }
      const path = typeof context === "string" ? context : environment["ATOLL_CONTEXT"];
      if (path === undefined || path === "") return { diagnostics: [errorAt(attribute("context"), "The provider does not know where the federation is.", "Set context to the path of a context file (as atoll --context takes it), or ATOLL_CONTEXT in the environment.")] };
      try {
        planes = new ContextPlanes(path, (typeof timeout === "number" ? timeout : timeoutSeconds.usual) * 1_000, environment);
        return {};
      } catch (error) {
        return { diagnostics: diagnosticsOf(error).map((found) => ({ ...found, attribute: attribute("context") })) };
      }
    },
    ValidateResourceConfig: (request) => ({ diagnostics: resourceOf(request).validate(objectOf(request.config)) }),
    ValidateDataResourceConfig: () => ({}),
    ValidateEphemeralResourceConfig: () => ({}),
    // There has been one version of each schema so far.
    UpgradeResourceState: ({ raw_state: raw }) => ({ upgraded_state: writeDynamic(readDynamic({ json: raw?.json ?? new Uint8Array() })) }),
    MoveResourceState: () => ({ diagnostics: [errorAt(undefined, "The provider moves no states of other types.", "Import the resource, and remove the other from its state.")] }),
    async ReadResource(request) {
      const state = objectOf(request.current_state);
      const resource = resourceOf(request);
      // Planes that this very apply will start cannot say what has changed; what is known of them stands until a later plan asks them.
      if (isContextToCome && resource.isLocal !== true) return { new_state: request.current_state, private: request.private };
      const found = await resource.read(state, ready(), stopping.signal);
      return { new_state: writeDynamic(found?.state ?? null), private: found === undefined ? request.private : bytesOf(found.memory) };
    },
    PlanResourceChange(request) {
      const { planned, requiresReplace } = planChange(resourceOf(request), readDynamic(request.prior_state), readDynamic(request.proposed_new_state));
      return { planned_state: writeDynamic(planned), requires_replace: requiresReplace, planned_private: request.prior_private };
    },
    async ApplyResourceChange(request) {
      const prior = readDynamic(request.prior_state);
      const planned = readDynamic(request.planned_state);
      try {
        const { state, memory } = await applyChange(resourceOf(request), { prior, planned, memory: memoryOf(request.planned_private) }, ready(), stopping.signal);
        return { new_state: writeDynamic(state), private: bytesOf(memory) };
      } catch (error) {
        // What was there before is what is known to be there: nothing is half made.
        return { new_state: writeDynamic(prior), private: request.planned_private, diagnostics: diagnosticsOf(error) };
      }
    },
    ImportResourceState(request) {
      const resource = resourceOf(request);
      const state = resource.import(request.id);
      if (resource.idForm === undefined) return { diagnostics: [errorAt(undefined, "It cannot be imported.", "Declare it and apply: to start what runs already is no fault.")] };
      if (state === undefined) return { diagnostics: [errorAt(undefined, "The id names no such resource.", `Found ${JSON.stringify(request.id)}, expected ${resource.idForm}.`)] };
      return { imported_resources: [{ type_name: request.type_name, state: writeDynamic(state), private: bytesOf({}) }] };
    },
    async ReadDataSource(request) {
      return { state: writeDynamic(await readSource(sourceOf(dataSources, request), objectOf(request.config), ready(), stopping.signal)) };
    },
    async OpenEphemeralResource(request) {
      return { result: writeDynamic(await readSource(sourceOf(ephemerals, request), objectOf(request.config), ready(), stopping.signal)) };
    },
    RenewEphemeralResource: () => ({}),
    CloseEphemeralResource: () => ({}),
    GetFunctions: () => ({}),
    StopProvider: () => {
      stopping.abort();
      return {};
    },
  };
  const handlers = Object.fromEntries(Object.entries(methods).map(([name, method]) => [name, answering(method)]));
  return Object.assign(handlers as UntypedServiceImplementation, { [Symbol.dispose]: () => planes?.[Symbol.dispose]() });
}

function answering(method: (request: Request) => Answer | Promise<Answer>) {
  return (call: ServerUnaryCall<Request, Answer>, answer: sendUnaryData<Answer>): void => {
    void (async () => {
      try {
        answer(null, await method(call.request));
      } catch (error) {
        answer(null, { diagnostics: diagnosticsOf(error) });
      }
    })();
  };
}

async function applyChange(
  resource: ManagedResource,
  { prior, planned, memory }: { readonly prior: CtyValue; readonly planned: CtyValue; readonly memory: Private },
  planes: ProviderPlanes,
  signal: AbortSignal,
): Promise<{ readonly state: CtyValue; readonly memory: Private }> {
  if (isObject(planned)) return isObject(prior) ? await resource.update({ prior, planned, memory }, planes, signal) : await resource.create(planned, planes, signal);
  if (isObject(prior)) await resource.remove(prior, memory, planes, signal);
  return { state: null, memory: {} };
}

async function readSource(source: ReadSource, config: CtyObject, planes: ProviderPlanes, signal: AbortSignal): Promise<CtyObject> {
  if (!isWhollyKnown(config)) throw new AtollError("ATOLL_REQUEST_INVALID", "something that it is asked by is not known yet");
  return await source.read(config, planes, signal);
}

function configFaults({ timeout_seconds: timeout }: CtyObject): readonly Diagnostic[] {
  if (typeof timeout !== "number" || (timeout >= 1 && timeout <= timeoutSeconds.max)) return [];
  return [errorAt(attribute("timeout_seconds"), "The provider cannot be used so.", `Found ${timeout}, expected seconds from 1 to ${timeoutSeconds.max}.`)];
}

function resourceOf({ type_name: name }: Request): ManagedResource {
  const found = resources.get(name);
  if (found === undefined) throw new AtollError("ATOLL_REQUEST_INVALID", `the provider has no resource ${name}`);
  return found;
}

function sourceOf(sources: ReadonlyMap<string, ReadSource>, { type_name: name }: Request): ReadSource {
  const found = sources.get(name);
  if (found === undefined) throw new AtollError("ATOLL_REQUEST_INVALID", `the provider has nothing to read as ${name}`);
  return found;
}

function objectOf(value: DynamicValue | null): CtyObject {
  const read = readDynamic(value);
  return isObject(read) ? read : {};
}

function memoryOf(bytes: Uint8Array): Private {
  return bytes.length === 0 ? {} : (JSON.parse(Buffer.from(bytes).toString("utf8")) as Private);
}

function bytesOf(memory: Private): Uint8Array {
  return Buffer.from(JSON.stringify(memory));
}

function namesOf(types: ReadonlyMap<string, unknown>): readonly { readonly type_name: string }[] {
  return [...types.keys()].map((name) => ({ type_name: name }));
}

function schemasOf(types: ReadonlyMap<string, { readonly schema: Schema }>): Readonly<Record<string, ProtoSchema>> {
  return Object.fromEntries([...types].map(([name, { schema }]) => [name, toProto(schema)]));
}
