import { isDeepStrictEqual } from "node:util";
import type { Clock } from "#federation/runtime/clock.ts";
import { AtollError, isAtollError } from "#federation/runtime/errors.ts";
import { carriedStatus } from "#federation/model/relationship-terms.ts";
import { resourceId, type Kind, type Metadata, type ResourceKinds, type StatusOf } from "#federation/model/resource.ts";
import { readStoredResource } from "#federation/model/parse/parse-resource.ts";
import type { CatalogAccess } from "./catalog-access.ts";
import type { CatalogOp, ChangeBatch, CollectionView, ReadableCollection, Stored, WriteOptions } from "./collection.ts";
import { FormerForms, keepsFormerForms, type FormerForm } from "./former-forms.ts";
import { jsonBytes, jsonValue } from "./json-codec.ts";
import { keys } from "./keys.ts";
import { StoreCollection } from "./store-collection.ts";

/** What became of a resource that was applied. */
export interface AppliedResource<K extends Kind> {
  readonly outcome: "created" | "changed" | "unchanged";
  readonly resource: ResourceKinds[K];
}

/** What an apply asks of the present form. */
export interface ApplyOptions<K extends Kind> extends WriteOptions {
  readonly dryRun?: boolean;
  /** What the caller has just read, or that it has found nothing. */
  readonly over?: { readonly value: ResourceKinds[K]; readonly revision: number } | "nothing";
}

/** How often a write without `ifRevision` is tried when others keep writing between its read and its write. */
const writeTriesMax = 5;

/**
 * The resources of one kind. What it answers carries `metadata.generation`, `revision` and `createdAt`; what it is
 * given may carry them too, and they are ignored, as is `status`.
 */
export class ResourceCollection<K extends Kind> implements ReadableCollection<ResourceKinds[K]> {
  readonly kind: K;
  readonly #access: CatalogAccess;
  readonly #clock: Clock;
  readonly #collection: StoreCollection<ResourceKinds[K]>;
  /** Undefined of kinds whose former forms are not kept. */
  readonly #former: FormerForms<K> | undefined;

  constructor(access: CatalogAccess, clock: Clock, kind: K) {
    this.kind = kind;
    this.#access = access;
    this.#clock = clock;
    this.#former = keepsFormerForms(kind) ? new FormerForms(access, kind) : undefined;
    this.#collection = new StoreCollection<ResourceKinds[K]>(access, keys.resources(kind), {
      encode: encodeResource,
      decode: (bytes, id, revision) => decodeResource(kind, bytes, id, revision),
    });
  }

  async get(id: string, signal: AbortSignal): Promise<Stored<ResourceKinds[K]> | undefined> {
    return await this.#collection.get(id, signal);
  }

  async list(signal: AbortSignal, idPrefix?: string): Promise<{ readonly items: readonly Stored<ResourceKinds[K]>[]; readonly revision: number }> {
    return await this.#collection.list(signal, idPrefix);
  }

  changes(signal: AbortSignal): AsyncIterable<ChangeBatch<ResourceKinds[K]>> {
    return this.#collection.changes(signal);
  }

  view(): CollectionView<ResourceKinds[K]> {
    return this.#collection.view();
  }

  /**
   * Makes the stored spec and labels those of `resource`. The generation grows when the spec differs; status stays (that of a Relationship
   * as `carriedStatus` says); nothing is written when nothing differs. Without `ifRevision` the last writer wins over a concurrent one.
   * With `dryRun` nothing is written at all, and the answer is what would be, without the revision that nobody has given it.
   * What the caller has read as `over` is not read again: the write succeeds only while it stands.
   * @throws {ATOLL_STORE_CONFLICT} when `ifRevision` does not hold, or others keep writing in between.
   */
  async apply(resource: ResourceKinds[K], options: ApplyOptions<K>, signal: AbortSignal): Promise<AppliedResource<K>> {
    const id = resourceId(resource.metadata);
    return await this.#update(id, options, signal, (previous) => {
      const next = this.#merge(resource, previous);
      if (previous === undefined) return { outcome: "created", resource: next };
      const { labels } = previous.metadata;
      const isSame = isDeepStrictEqual(plain(next.spec), plain(previous.spec)) && isDeepStrictEqual(next.metadata.labels, labels);
      return isSame ? { outcome: "unchanged", resource: previous } : { outcome: "changed", resource: next };
    });
  }

  /**
   * Replaces the status by what `change` makes of the present resource; the same value again writes nothing.
   * Called again when another writer came between. Answers undefined when the resource is gone.
   */
  async setStatus(id: string, change: (resource: ResourceKinds[K]) => StatusOf<K>, signal: AbortSignal): Promise<ResourceKinds[K] | undefined> {
    const outcome = await this.#update(id, {}, signal, (previous) => {
      if (previous === undefined) return undefined;
      const status = change(previous);
      if (isDeepStrictEqual(plain(status), plain(previous.status))) return { outcome: "unchanged", resource: previous };
      return { outcome: "changed", resource: { ...previous, status } };
    });
    return outcome?.resource;
  }

  /** False when there was none. @throws {ATOLL_STORE_CONFLICT} when `ifRevision` does not hold. */
  async remove(id: string, options: WriteOptions, signal: AbortSignal): Promise<boolean> {
    const present = this.#former === undefined ? undefined : await this.get(id, signal);
    if (present === undefined) return await this.#collection.remove(id, options, signal);
    await this.#access.commit(this.deletionOps(present, options), signal);
    await this.dropOldForms(signal);
    return true;
  }

  /** The deletion of `present` as parts of a transaction, with its form kept; `dropOldForms` is to follow. */
  deletionOps(present: Stored<ResourceKinds[K]>, options: WriteOptions = {}): readonly CatalogOp[] {
    return [this.removeOp(present.id, options), ...(this.#former?.deletedOps(present) ?? [])];
  }

  /** Keeps the number of deleted resources whose form is kept within its bound. */
  async dropOldForms(signal: AbortSignal): Promise<void> {
    await this.#former?.dropOldest(signal);
  }

  /** The forms that a resource had before and that are kept, the newest first; none of kinds whose forms are not kept. */
  async formerForms(id: string, signal: AbortSignal): Promise<readonly FormerForm<K>[]> {
    return (await this.#former?.list(id, signal)) ?? [];
  }

  /**
   * Writes of a derived resource as parts of a transaction: stored as given, its generation counted by its deriver.
   * For ServiceImport; kinds that users write go through `apply`.
   */
  putOp(resource: ResourceKinds[K], options: WriteOptions = {}): CatalogOp {
    return this.#collection.putOp(resourceId(resource.metadata), resource, options);
  }

  removeOp(id: string, options: WriteOptions = {}): CatalogOp {
    return this.#collection.removeOp(id, options);
  }

  #merge(resource: ResourceKinds[K], previous: ResourceKinds[K] | undefined): ResourceKinds[K] {
    const { name, namespace, labels } = resource.metadata;
    const generation = previous?.metadata.generation ?? 0;
    const isSameSpec = previous !== undefined && isDeepStrictEqual(plain(previous.spec), plain(resource.spec));
    const metadata: Metadata = {
      name,
      ...(namespace === undefined ? {} : { namespace }),
      ...(labels === undefined ? {} : { labels }),
      generation: isSameSpec ? generation : generation + 1,
      createdAt: previous?.metadata.createdAt ?? new Date(this.#clock.nowMs()).toISOString(),
    };
    const { status: _, ...rest } = resource;
    const status = previous === undefined || isSameSpec ? previous?.status : statusBeside(previous, resource);
    return { ...rest, metadata, ...(status === undefined ? {} : { status }) } as ResourceKinds[K];
  }

  /** What stands there: the value that a caller has read, or is read here. One that cannot be read counts as none, so that applying the resource again repairs it. */
  async #present(id: string, over: ApplyOptions<K>["over"], signal: AbortSignal): Promise<{ readonly value: ResourceKinds[K] | undefined; readonly revision: number }> {
    if (over !== undefined) return over === "nothing" ? { value: undefined, revision: 0 } : over;
    const entry = await this.#access.store.get(this.#collection.key(id), signal);
    return entry === undefined ? { value: undefined, revision: 0 } : { value: this.#collection.read(entry)?.value, revision: entry.revision };
  }

  /** Keeps a form that another spec replaces; a status or a label makes no form. */
  #formerOp(present: Stored<ResourceKinds[K]>, next: ResourceKinds[K]): CatalogOp | undefined {
    return next.metadata.generation === present.value.metadata.generation ? undefined : this.#former?.replacedOp(present);
  }

  #update(id: string, options: ApplyOptions<K>, signal: AbortSignal, decide: (previous: ResourceKinds[K] | undefined) => AppliedResource<K>): Promise<AppliedResource<K>>;
  #update(id: string, options: ApplyOptions<K>, signal: AbortSignal, decide: (previous: ResourceKinds[K] | undefined) => AppliedResource<K> | undefined): Promise<AppliedResource<K> | undefined>;
  async #update(
    id: string,
    options: ApplyOptions<K>,
    signal: AbortSignal,
    decide: (previous: ResourceKinds[K] | undefined) => AppliedResource<K> | undefined,
  ): Promise<AppliedResource<K> | undefined> {
    for (let tries = 1; ; tries++) {
      const { value, revision: present } = await this.#present(id, tries === 1 ? options.over : undefined, signal);
      if (options.ifRevision !== undefined && options.ifRevision !== present) {
        throw new AtollError("ATOLL_STORE_CONFLICT", `${this.kind} ${id} is at revision ${present}, not ${options.ifRevision}`);
      }
      const decided = decide(value);
      if (decided === undefined || decided.outcome === "unchanged" || options.dryRun === true) return decided;
      try {
        const former = value === undefined ? undefined : this.#formerOp({ id, value, revision: present }, decided.resource);
        const revision = await this.#access.commit([this.#collection.putOp(id, decided.resource, { ifRevision: present }), ...(former === undefined ? [] : [former])], signal);
        return { ...decided, resource: withRevision(decided.resource, revision) };
      } catch (error) {
        const mayRetry = options.ifRevision === undefined && tries < writeTriesMax && isAtollError(error, "ATOLL_STORE_CONFLICT");
        if (!mayRetry) throw error;
      }
    }
  }
}

/** The status of `previous` once the spec is that of `next`. */
function statusBeside(previous: ResourceKinds[Kind], next: ResourceKinds[Kind]): ResourceKinds[Kind]["status"] {
  if (previous.kind !== "Relationship" || next.kind !== "Relationship") return previous.status;
  const status = carriedStatus(previous, next.spec);
  const bytes = jsonBytes({ spec: next.spec, status }).length;
  if (bytes <= relationshipBytesMax) return status;
  throw new AtollError("ATOLL_REQUEST_INVALID", `with what was agreed and approved of it, ${next.metadata.name} would have ${bytes} bytes, and ${relationshipBytesMax} are told to others: have both sides approve what is proposed before the next change, or name less`);
}

/** Of the spec and status of a Relationship: what is signed and sent of it has at most `signedObjectBytesMax`. The largest spec finds room together with other terms that were agreed. */
const relationshipBytesMax = 160 * 1024;

/** The revision is the store's to say, so it is not part of the value. */
function encodeResource(resource: ResourceKinds[Kind]): Uint8Array {
  const { revision: _, ...metadata } = resource.metadata;
  return jsonBytes({ ...resource, metadata });
}

function decodeResource<K extends Kind>(kind: K, bytes: Uint8Array, id: string, revision: number): ResourceKinds[K] {
  const resource = readStoredResource(kind, jsonValue(bytes));
  const storedId = resourceId(resource.metadata);
  if (storedId !== id) throw new AtollError("ATOLL_RESOURCE_INVALID", `a ${kind} stored as ${id} calls itself ${storedId}`);
  return withRevision(resource, revision);
}

function withRevision<K extends Kind>(resource: ResourceKinds[K], revision: number): ResourceKinds[K] {
  return { ...resource, metadata: { ...resource.metadata, revision } };
}

/** What JSON keeps of a value: the form in which two of them are compared, whatever made them. */
function plain(value: unknown): unknown {
  return value === undefined ? undefined : (JSON.parse(JSON.stringify(value)) as unknown);
}
