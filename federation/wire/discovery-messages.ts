import protobuf from "protobufjs";
import envoyDescriptors from "./generated/envoy-discovery.json" with { type: "json" };
import { discoveryItemsMax, discoveryMessageBytesMax, refusedResourcesMax, textLengthMax } from "./limits.ts";
import { boundedList, copied, messageCodec, required } from "./schema.ts";
import { AtollError } from "#federation/runtime/errors.ts";

/** Who asks; Atoll's own proxies are known by their certificate, and this is a label. */
export interface DiscoveryNode {
  readonly id: string;
  /** The service cluster in Envoy's sense; unused by Atoll's own proxies. */
  readonly cluster: string;
  readonly region: string;
  readonly zone: string;
}

/** google.rpc.Status of a refused response. */
export interface DiscoveryFault {
  readonly code: number;
  readonly message: string;
  /** What of the response it is about, by name; nothing else stands in the way of the rest. Empty where it does not say, as of proxies before this. */
  readonly resources: readonly string[];
}

/** A subscription change, an acknowledgement (nonce only), or a refusal (nonce and fault). */
export interface DeltaRequest {
  /** Present in the first request of a stream. */
  readonly node?: DiscoveryNode;
  readonly typeUrl: string;
  readonly subscribe: readonly string[];
  readonly unsubscribe: readonly string[];
  /** First request of a type after a reconnect: resource name to the version already held. */
  readonly initialVersions: Readonly<Record<string, string>>;
  /** Empty when the request answers no response. */
  readonly responseNonce: string;
  readonly fault?: DiscoveryFault;
}

/** A resource in its final bytes, encoded once and shared by all streams. */
export interface EncodedResource {
  readonly name: string;
  readonly version: string;
  /** The encoded envoy.service.discovery.v3.Resource, a character for each byte: a plane holds one of each import, and an array of its own takes 180 bytes more. */
  readonly latin1: string;
}

/** A response as the server sends it. */
export interface DeltaResponse {
  readonly typeUrl: string;
  readonly nonce: string;
  /** For people and logs. */
  readonly systemVersion: string;
  readonly resources: readonly EncodedResource[];
  readonly removed: readonly string[];
}

/** A resource as the client reads it. */
export interface ReceivedResource {
  readonly name: string;
  readonly version: string;
  readonly typeUrl: string;
  readonly value: Uint8Array;
}

/** A response as the client reads it. */
export interface ReceivedDeltaResponse {
  readonly typeUrl: string;
  readonly nonce: string;
  readonly systemVersion: string;
  readonly resources: readonly ReceivedResource[];
  readonly removed: readonly string[];
}

interface RawAny {
  readonly typeUrl: string;
  readonly value: Uint8Array;
}
interface RawResource {
  readonly name: string;
  readonly version: string;
  readonly resource: RawAny | null;
}
interface RawNode {
  readonly id: string;
  readonly cluster: string;
  readonly locality: { readonly region: string; readonly zone: string } | null;
}
interface RawStatus {
  readonly code: number;
  readonly message: string;
  readonly details: readonly RawAny[];
}
interface RawResourceInfo {
  readonly resourceType: string;
  readonly resourceName: string;
}
interface RawDeltaRequest {
  readonly node: RawNode | null;
  readonly typeUrl: string;
  readonly resourceNamesSubscribe: readonly string[];
  readonly resourceNamesUnsubscribe: readonly string[];
  readonly initialResourceVersions: Readonly<Record<string, string>>;
  readonly responseNonce: string;
  readonly errorDetail: RawStatus | null;
}
interface RawDeltaResponse {
  readonly systemVersionInfo: string;
  readonly resources: readonly RawResource[];
  readonly typeUrl: string;
  readonly removedResources: readonly string[];
  readonly nonce: string;
}

const envoy = protobuf.Root.fromJSON(envoyDescriptors);
envoy.resolveAll();

const packageName = "envoy.service.discovery.v3";
const requestCodec = messageCodec<RawDeltaRequest>(`${packageName}.DeltaDiscoveryRequest`, discoveryMessageBytesMax, envoy);
const responseCodec = messageCodec<RawDeltaResponse>(`${packageName}.DeltaDiscoveryResponse`, discoveryMessageBytesMax, envoy);
/** @see https://github.com/googleapis/googleapis/blob/master/google/rpc/error_details.proto */
const resourceInfoCodec = messageCodec<RawResourceInfo>("google.rpc.ResourceInfo", 2 * textLengthMax, envoy);
const resourceInfoType = "type.googleapis.com/google.rpc.ResourceInfo";
const resourceCodec = messageCodec<RawResource>(`${packageName}.Resource`, discoveryMessageBytesMax, envoy);

/** Wraps an encoded payload (see discovery-resources.ts) once; every stream that sends it shares the bytes. */
export function encodeResource(resource: ReceivedResource): EncodedResource {
  const { name, version, typeUrl, value } = resource;
  const { buffer, byteOffset, length } = resourceCodec.encode({ name, version, resource: { typeUrl, value } });
  return { name, version, latin1: Buffer.from(buffer, byteOffset, length).toString("latin1") };
}

export function encodeDeltaRequest(request: DeltaRequest): Uint8Array {
  const { node } = request;
  return requestCodec.encode({
    node: node === undefined ? null : { id: node.id, cluster: node.cluster, locality: { region: node.region, zone: node.zone } },
    typeUrl: request.typeUrl,
    resourceNamesSubscribe: request.subscribe,
    resourceNamesUnsubscribe: request.unsubscribe,
    initialResourceVersions: request.initialVersions,
    responseNonce: request.responseNonce,
    errorDetail: request.fault === undefined ? null : statusOf(request.fault, request.typeUrl),
  });
}

/** @throws {ATOLL_WIRE_INVALID | ATOLL_WIRE_TOO_LARGE} */
export function decodeDeltaRequest(bytes: Uint8Array): DeltaRequest {
  const raw = requestCodec.decode(bytes);
  boundedList(Object.keys(raw.initialResourceVersions), discoveryItemsMax, "initial versions");
  return {
    ...(raw.node === null ? {} : { node: nodeOf(raw.node) }),
    typeUrl: shortText(raw.typeUrl),
    subscribe: names(raw.resourceNamesSubscribe),
    unsubscribe: names(raw.resourceNamesUnsubscribe),
    initialVersions: raw.initialResourceVersions,
    responseNonce: shortText(raw.responseNonce),
    ...(raw.errorDetail === null ? {} : { fault: faultOf(raw.errorDetail) }),
  };
}

function statusOf({ code, message, resources }: DiscoveryFault, resourceType: string): RawStatus {
  const details = resources.map((resourceName) => ({ typeUrl: resourceInfoType, value: resourceInfoCodec.encode({ resourceType, resourceName }) }));
  return { code, message, details };
}

/** Details of other types say nothing to us. */
function faultOf({ code, message, details }: RawStatus): DiscoveryFault {
  const infos = details.filter(({ typeUrl }) => typeUrl === resourceInfoType).slice(0, refusedResourcesMax);
  return { code, message: message.slice(0, textLengthMax), resources: infos.map(({ value }) => shortText(resourceInfoCodec.decode(value).resourceName)) };
}

/** One copy of the shared bytes of the resources into the message, and nothing encoded again. */
export function encodeDeltaResponse(response: DeltaResponse): Buffer {
  const head = responseCodec.encode({
    systemVersionInfo: response.systemVersion,
    resources: [],
    typeUrl: response.typeUrl,
    removedResources: response.removed,
    nonce: response.nonce,
  });
  // Fields of a message may come in any order, so the resources follow behind. Field 2, wire type 2: tag 0x12.
  const fields = response.resources.map(({ latin1 }) => ({ tag: resourceTag(latin1.length), latin1 }));
  const message = Buffer.allocUnsafe(fields.reduce((bytes, { tag, latin1 }) => bytes + tag.length + latin1.length, head.length));
  message.set(head);
  let at = head.length;
  for (const { tag, latin1 } of fields) {
    message.set(tag, at);
    at += tag.length;
    at += message.write(latin1, at, "latin1");
  }
  return message;
}

/** @throws {ATOLL_WIRE_INVALID | ATOLL_WIRE_TOO_LARGE} */
export function decodeDeltaResponse(bytes: Uint8Array): ReceivedDeltaResponse {
  const raw = responseCodec.decode(bytes);
  return {
    typeUrl: shortText(raw.typeUrl),
    nonce: shortText(raw.nonce),
    systemVersion: shortText(raw.systemVersionInfo),
    resources: boundedList(raw.resources, discoveryItemsMax, "resources of a response").map(resourceOf),
    removed: names(raw.removedResources),
  };
}

function resourceOf(raw: RawResource): ReceivedResource {
  const { typeUrl, value } = required(raw.resource, "the payload of a resource");
  return { name: shortText(raw.name), version: shortText(raw.version), typeUrl: shortText(typeUrl), value: copied(value) };
}

function nodeOf(raw: RawNode): DiscoveryNode {
  const { region, zone } = raw.locality ?? { region: "", zone: "" };
  return { id: shortText(raw.id), cluster: shortText(raw.cluster), region: shortText(region), zone: shortText(zone) };
}

function names(list: readonly string[]): readonly string[] {
  return boundedList(list, discoveryItemsMax, "resource names").map(shortText);
}

function shortText(text: string): string {
  if (text.length > textLengthMax) throw new AtollError("ATOLL_WIRE_TOO_LARGE", `a name of more than ${textLengthMax} characters`);
  return text;
}

function resourceTag(length: number): Uint8Array {
  const bytes = [0x12];
  let rest = length;
  for (; rest > 0x7f; rest = Math.floor(rest / 128)) bytes.push((rest & 0x7f) | 0x80);
  bytes.push(rest);
  return Uint8Array.from(bytes);
}
