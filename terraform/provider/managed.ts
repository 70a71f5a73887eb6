import type { CtyObject } from "./cty/values.ts";
import type { Diagnostic } from "./protocol/messages.ts";
import type { ProviderPlanes } from "./planes.ts";
import type { Schema } from "./schema/to-proto.ts";

/** What is kept of a resource besides its state, for the provider alone. */
export interface Private {
  /** Of the server's object, as it was read or written last. */
  readonly revision?: number;
}

export interface Remembered {
  readonly state: CtyObject;
  readonly memory: Private;
}

/** One type of resources. Failures are thrown; whoever calls turns them into diagnostics. */
export interface ManagedResource {
  readonly schema: Schema;
  /** It asks no planes. */
  readonly isLocal?: true;
  /** Attributes whose change means another resource. */
  readonly replace: readonly string[];
  validate(config: CtyObject): readonly Diagnostic[];
  /** Names of the computed attributes that a change makes unknown. */
  readonly changing: readonly string[];
  create(planned: CtyObject, planes: ProviderPlanes, signal: AbortSignal): Promise<Remembered>;
  update(change: { readonly prior: CtyObject; readonly planned: CtyObject; readonly memory: Private }, planes: ProviderPlanes, signal: AbortSignal): Promise<Remembered>;
  remove(prior: CtyObject, memory: Private, planes: ProviderPlanes, signal: AbortSignal): Promise<void>;
  /** Undefined when there is none any more. */
  read(state: CtyObject, planes: ProviderPlanes, signal: AbortSignal): Promise<Remembered | undefined>;
  /** The state to begin with, from what a user wrote; undefined when that names none. */
  import(id: string): CtyObject | undefined;
  /** What `id` looks like, in words; absent where nothing can be imported. */
  readonly idForm?: string;
}

/** One type of data sources, or of ephemeral resources. */
export interface ReadSource {
  readonly schema: Schema;
  read(config: CtyObject, planes: ProviderPlanes, signal: AbortSignal): Promise<CtyObject>;
}
