import { acceptBundle } from "#federation/identity/accept-bundle.ts";
import type { ServiceHost, TrustDomainName } from "#federation/model/names.ts";
import type { GatewayRoute, Generation, InboundPort, ServiceView, Snapshot } from "#federation/model/snapshot.ts";
import { withJwtAuthorities, type TrustBundle } from "#federation/model/trust-bundle.ts";
import type { Clock } from "#federation/runtime/clock.ts";
import { AtollError, describeError, isAtollError } from "#federation/runtime/errors.ts";
import { turn } from "#federation/runtime/turns.ts";
import { WatchedValue, type Watched } from "#federation/runtime/watched.ts";
import { refusedResourcesMax } from "#federation/wire/limits.ts";
import type { ReceivedDeltaResponse, ReceivedResource } from "#federation/wire/discovery-messages.ts";
import { decodeBundle, decodeGatewayRoute, decodeInbound, decodeService, resourceTypeUrls, type ResourceTypeUrl } from "#federation/wire/discovery-resources.ts";

/** For each type the version of every resource that is held, by name: what a reconnecting client tells the plane. */
export type ResourceVersions = Readonly<Record<ResourceTypeUrl, ReadonlyMap<string, string>>>;

/** What a proxy knows, with the versions it came in. */
export interface HeldState {
  readonly snapshot: Snapshot;
  readonly versions: ResourceVersions;
}

/** Nothing known yet. */
export const emptySnapshot: Snapshot = {
  generation: { epoch: 0, revision: 0 },
  services: new Map(),
  bundles: new Map(),
  inbound: new Map(),
  gatewayRoutes: new Map(),
};

export const emptyHeldState: HeldState = {
  snapshot: emptySnapshot,
  versions: {
    [resourceTypeUrls.service]: new Map(),
    [resourceTypeUrls.bundle]: new Map(),
    [resourceTypeUrls.inbound]: new Map(),
    [resourceTypeUrls.gatewayRoute]: new Map(),
  },
};

/** A response that was refused for what some of its resources are. */
export class RefusedResources extends AtollError {
  /** By name, at most `refusedResourcesMax`; never empty. */
  readonly resources: readonly string[];

  constructor(faults: readonly ResourceFault[]) {
    const [first] = faults;
    const more = faults.length === 1 ? "" : `, and ${faults.length - 1} more`;
    super("ATOLL_WIRE_INVALID", `${first?.name.slice(0, namedCharactersMax) ?? ""}: ${describeError(first?.error)}${more}`, { cause: first?.error });
    this.resources = faults.slice(0, refusedResourcesMax).map(({ name }) => name);
  }
}

interface ResourceFault {
  readonly name: string;
  readonly error: unknown;
}

/** Of a resource's name in a message. */
const namedCharactersMax = 80;

/** Work on a snapshot pauses after so long, so that requests never wait for it. */
export const sliceMs = 5;

type Decoded =
  | { readonly type: "service"; readonly value: ServiceView }
  | { readonly type: "bundle"; readonly value: TrustBundle }
  | { readonly type: "inbound"; readonly value: InboundPort }
  | { readonly type: "gatewayRoute"; readonly value: GatewayRoute };

/**
 * Builds snapshots out of discovery responses. A response counts as a whole or not at all, and whoever refuses it names the resources that
 * it cannot use, so that the plane sends the others again without them: its resources are decoded first, in slices, and only then a new snapshot is published; maps that a response does not touch are shared with the
 * one before. Use it from one reader: responses are applied one after the other.
 */
export class SnapshotBuilder implements Watched<HeldState> {
  readonly #clock: Clock;
  readonly #state: WatchedValue<HeldState>;
  /** The snapshot alone, for those who route by it. */
  readonly snapshot: WatchedValue<Snapshot>;

  constructor(initial: HeldState, clock: Clock) {
    this.#clock = clock;
    this.#state = new WatchedValue(initial);
    this.snapshot = new WatchedValue(initial.snapshot);
  }

  get current(): HeldState {
    return this.#state.current;
  }

  changes(signal: AbortSignal): AsyncIterable<HeldState> {
    return this.#state.changes(signal);
  }

  /**
   * Applies one response.
   * @throws {ATOLL_WIRE_INVALID} and nothing has changed then; a `RefusedResources` where it is for some of them, each as of its own fault.
   */
  async apply(response: ReceivedDeltaResponse): Promise<void> {
    const typeUrl = knownType(response.typeUrl);
    const decoded: { readonly resource: ReceivedResource; readonly decoded: Decoded }[] = [];
    const faults: ResourceFault[] = [];
    let sliceStartMs = this.#clock.monotonicMs();
    for (const resource of response.resources) {
      if (resource.typeUrl !== typeUrl) throw new AtollError("ATOLL_WIRE_INVALID", `a resource of type ${resource.typeUrl} in a response for ${typeUrl}`);
      collected(faults, resource.name, () => void decoded.push({ resource, decoded: decoders[typeUrl](resource) }));
      if (this.#clock.monotonicMs() - sliceStartMs < sliceMs) continue;
      await turn();
      sliceStartMs = this.#clock.monotonicMs();
    }
    this.#publish(typeUrl, decoded, response, faults);
  }

  /** Takes bundles that came with an identity, which hold no JWT authorities; older ones than those held are left alone. */
  addBundles(bundles: readonly TrustBundle[]): void {
    const { snapshot, versions } = this.current;
    const next = new Map(snapshot.bundles);
    let changed = false;
    for (const bundle of bundles) {
      const held = next.get(bundle.trustDomain);
      if (acceptBundle(held, bundle).kind !== "accepted") continue;
      next.set(bundle.trustDomain, withJwtAuthorities(bundle, held?.jwtAuthorities ?? []));
      changed = true;
    }
    if (changed) this.#set({ snapshot: { ...snapshot, bundles: next, generation: following(snapshot.generation) }, versions });
  }

  #set(next: HeldState): void {
    this.#state.set(next);
    this.snapshot.set(next.snapshot);
  }

  #publish(typeUrl: ResourceTypeUrl, decoded: readonly { readonly resource: ReceivedResource; readonly decoded: Decoded }[], response: ReceivedDeltaResponse, faults: ResourceFault[]): void {
    const { snapshot, versions } = this.current;
    const maps = mutableCopies(snapshot, typeUrl);
    const nextVersions = new Map(versions[typeUrl]);
    for (const { resource, decoded: entry } of decoded) {
      collected(faults, resource.name, () => put(maps, resource.name, entry));
      nextVersions.set(resource.name, resource.version);
    }
    if (faults.length > 0) throw new RefusedResources(faults);
    for (const name of response.removed) {
      nextVersions.delete(name);
      remove(maps, typeUrl, name);
    }
    this.#set({
      snapshot: { ...maps, generation: readGeneration(response.systemVersion) ?? following(snapshot.generation) },
      versions: { ...versions, [typeUrl]: nextVersions },
    });
  }
}

interface SnapshotMaps {
  readonly services: Map<ServiceHost, ServiceView>;
  readonly bundles: Map<TrustDomainName, TrustBundle>;
  readonly inbound: Map<string, InboundPort>;
  readonly gatewayRoutes: Map<string, GatewayRoute>;
}

/** The map of `typeUrl` copied, the others as they are: only that one is written to. */
function mutableCopies(snapshot: Snapshot, typeUrl: ResourceTypeUrl): SnapshotMaps {
  const copied = <K, V>(type: ResourceTypeUrl, map: ReadonlyMap<K, V>): Map<K, V> => (type === typeUrl ? new Map(map) : (map as Map<K, V>));
  return {
    services: copied(resourceTypeUrls.service, snapshot.services),
    bundles: copied(resourceTypeUrls.bundle, snapshot.bundles),
    inbound: copied(resourceTypeUrls.inbound, snapshot.inbound),
    gatewayRoutes: copied(resourceTypeUrls.gatewayRoute, snapshot.gatewayRoutes),
  };
}

/** Decodes a resource and checks that its name is the one its content has. */
const decoders: Readonly<Record<ResourceTypeUrl, (resource: ReceivedResource) => Decoded>> = {
  [resourceTypeUrls.service]({ name, value: bytes }) {
    const value = decodeService(bytes);
    assertName(name, value.host);
    return { type: "service", value };
  },
  [resourceTypeUrls.bundle]({ name, value: bytes }) {
    const value = decodeBundle(bytes);
    assertName(name, value.trustDomain);
    return { type: "bundle", value };
  },
  [resourceTypeUrls.inbound]: ({ value }) => ({ type: "inbound", value: decodeInbound(value) }),
  [resourceTypeUrls.gatewayRoute]: ({ name, value }) => ({ type: "gatewayRoute", value: decodeGatewayRoute(name, value) }),
};

function put(maps: SnapshotMaps, name: string, entry: Decoded): void {
  switch (entry.type) {
    case "service":
      maps.services.set(entry.value.host, entry.value);
      break;
    case "bundle": {
      if (entry.value.isFederated === true) {
        // Which one is newer was decided where it was fetched: a foreign domain may have no sequence, or begin anew once it was declared anew.
        maps.bundles.set(entry.value.trustDomain, entry.value);
        break;
      }
      const decision = acceptBundle(maps.bundles.get(entry.value.trustDomain), entry.value);
      if (decision.kind === "refused") throw new AtollError("ATOLL_BUNDLE_INVALID", `the bundle of ${name} was refused: ${decision.reason}`);
      maps.bundles.set(entry.value.trustDomain, withJwtAuthorities(decision.bundle, entry.value.jwtAuthorities ?? []));
      break;
    }
    case "inbound":
      maps.inbound.set(name, entry.value);
      break;
    case "gatewayRoute":
      maps.gatewayRoutes.set(name, entry.value);
      break;
  }
}

function remove(maps: SnapshotMaps, typeUrl: ResourceTypeUrl, name: string): void {
  switch (typeUrl) {
    case resourceTypeUrls.service:
      maps.services.delete(name as ServiceHost);
      break;
    case resourceTypeUrls.bundle:
      maps.bundles.delete(name as TrustDomainName);
      break;
    case resourceTypeUrls.inbound:
      maps.inbound.delete(name);
      break;
    case resourceTypeUrls.gatewayRoute:
      maps.gatewayRoutes.delete(name);
      break;
  }
}

/** Runs `use` of the resource `name`; what it throws is one more fault. */
function collected(faults: ResourceFault[], name: string, use: () => void): void {
  try {
    use();
  } catch (error) {
    if (!isAtollError(error)) throw error;
    faults.push({ name, error });
  }
}

function assertName(name: string, expected: string): void {
  if (name !== expected) throw new AtollError("ATOLL_WIRE_INVALID", `the resource ${name.slice(0, 80)} says that it is ${expected}`);
}

function knownType(typeUrl: string): ResourceTypeUrl {
  const found = Object.values(resourceTypeUrls).find((known) => known === typeUrl);
  if (found === undefined) throw new AtollError("ATOLL_WIRE_INVALID", `unknown type of resource: ${typeUrl.slice(0, 80)}`);
  return found;
}

/** `epoch.revision` as a plane may say it; otherwise the proxy counts what it applied. */
function readGeneration(systemVersion: string): Generation | undefined {
  const match = /^(\d{1,15})\.(\d{1,15})$/.exec(systemVersion);
  return match === null ? undefined : { epoch: Number(match[1]), revision: Number(match[2]) };
}

function following(generation: Generation): Generation {
  return { epoch: generation.epoch, revision: generation.revision + 1 };
}
