import { createHash } from "node:crypto";
import type { ServiceHost, TrustDomainName } from "#federation/model/names.ts";
import type { Generation } from "#federation/model/snapshot.ts";
import { AtollError } from "#federation/runtime/errors.ts";
import {
  decodeBundle,
  decodeGatewayRoute,
  decodeInbound,
  decodeService,
  encodeBundle,
  encodeGatewayRoute,
  encodeInbound,
  encodeService,
  resourceTypeUrls,
} from "#federation/wire/discovery-resources.ts";
import type { HeldState } from "./snapshot-builder.ts";

/** A held state as it is kept on disk, with the wall-clock ms at which the plane last confirmed it. */
export interface StoredState {
  readonly held: HeldState;
  readonly asOfMs: number;
}

interface FileBody {
  readonly format: number;
  readonly generation: Generation;
  readonly asOfMs: number;
  /** name, version, payload in base64. */
  readonly services: readonly Entry[];
  readonly bundles: readonly Entry[];
  readonly inbound: readonly Entry[];
  readonly gatewayRoutes: readonly Entry[];
}
type Entry = readonly [name: string, version: string, payload: string];

const format = 1;
/** What the plane never sent has no version; it is sent again at the first chance. */
const noVersion = "";

/** One line with the SHA-256 of the rest, then JSON. Resources are in their wire form, so old files are read as old planes are. */
export function encodeStoredState(stored: StoredState): string {
  const { snapshot, versions } = stored.held;
  const entries = <K extends string, V>(map: ReadonlyMap<K, V>, known: ReadonlyMap<string, string>, encode: (value: V) => Uint8Array): Entry[] =>
    Array.from(map, ([name, value]) => [name, known.get(name) ?? noVersion, Buffer.from(encode(value)).toString("base64")] as const);
  const body: FileBody = {
    format,
    generation: snapshot.generation,
    asOfMs: stored.asOfMs,
    services: entries(snapshot.services, versions[resourceTypeUrls.service], encodeService),
    bundles: entries(snapshot.bundles, versions[resourceTypeUrls.bundle], encodeBundle),
    inbound: entries(snapshot.inbound, versions[resourceTypeUrls.inbound], encodeInbound),
    gatewayRoutes: entries(snapshot.gatewayRoutes, versions[resourceTypeUrls.gatewayRoute], encodeGatewayRoute),
  };
  const json = JSON.stringify(body);
  return `${sha256(json)}\n${json}\n`;
}

/** @throws {ATOLL_STORE_CORRUPT} for anything but a whole file of this format. */
export function decodeStoredState(text: string): StoredState {
  const lineEnd = text.indexOf("\n");
  const json = text.slice(lineEnd + 1).trimEnd();
  if (lineEnd !== 64 || sha256(json) !== text.slice(0, lineEnd)) throw new AtollError("ATOLL_STORE_CORRUPT", "the checksum does not fit the content");
  try {
    return stateOf(JSON.parse(json) as FileBody);
  } catch (error) {
    throw new AtollError("ATOLL_STORE_CORRUPT", "the content cannot be read", { cause: error });
  }
}

function stateOf(body: FileBody): StoredState {
  if (body.format !== format) throw new AtollError("ATOLL_STORE_CORRUPT", `format ${body.format} is not known here`);
  return {
    asOfMs: body.asOfMs,
    held: {
      snapshot: {
        generation: body.generation,
        services: decoded(body.services, (_name, bytes) => decodeService(bytes)) as ReadonlyMap<ServiceHost, ReturnType<typeof decodeService>>,
        bundles: decoded(body.bundles, (_name, bytes) => decodeBundle(bytes)) as ReadonlyMap<TrustDomainName, ReturnType<typeof decodeBundle>>,
        inbound: decoded(body.inbound, (_name, bytes) => decodeInbound(bytes)),
        gatewayRoutes: decoded(body.gatewayRoutes, decodeGatewayRoute),
      },
      versions: {
        [resourceTypeUrls.service]: versionsOf(body.services),
        [resourceTypeUrls.bundle]: versionsOf(body.bundles),
        [resourceTypeUrls.inbound]: versionsOf(body.inbound),
        [resourceTypeUrls.gatewayRoute]: versionsOf(body.gatewayRoutes),
      },
    },
  };
}

function decoded<T>(entries: readonly Entry[], decode: (name: string, bytes: Uint8Array) => T): ReadonlyMap<string, T> {
  return new Map(entries.map(([name, , payload]) => [name, decode(name, Buffer.from(payload, "base64"))]));
}

function versionsOf(entries: readonly Entry[]): ReadonlyMap<string, string> {
  return new Map(entries.filter(([, version]) => version !== noVersion).map(([name, version]) => [name, version]));
}

function sha256(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}
