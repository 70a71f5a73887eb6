import type { Random } from "#federation/runtime/random.ts";
import type { DeltaRequest } from "./discovery-messages.ts";

/**
 * The type by which a proxy of Atoll's says on its discovery stream that it will take its leave, and then that it does. No resource is of it,
 * and no response: planes that do not know it ignore such a request, as they do with every type that a stream may not see.
 */
export const presenceTypeUrl = "type.googleapis.com/atoll.discovery.v1.Presence";

/** What a proxy says of itself: that it will say when it leaves, or that it leaves in order and routes no longer. */
export type Presence = "stays" | "leaves";

/** Any name: presence has no resources. */
const everything = "*";

/** A name that no other process has, as far as chance goes. */
export function processName(random: Random): string {
  return Buffer.from(random.bytes(16)).toString("hex");
}

/** A longer name of a process is cut. */
export const processNameMax = 64;

/**
 * What says `presence`, and as the name that it asks for which process says so: another one under the same node has been started anew. Pure.
 */
export function presenceRequest(presence: Presence, process: string = everything): DeltaRequest {
  const isLeaving = presence === "leaves";
  return { typeUrl: presenceTypeUrl, subscribe: isLeaving ? [] : [process], unsubscribe: isLeaving ? [everything] : [], initialVersions: {}, responseNonce: "" };
}

/** Which process a request is of; undefined where it does not say, as of proxies before this. Pure. */
export function processOf({ typeUrl, subscribe: [name] }: Pick<DeltaRequest, "typeUrl" | "subscribe">): string | undefined {
  return typeUrl !== presenceTypeUrl || name === undefined || name === everything ? undefined : name.slice(0, processNameMax);
}

/** What a request says of its sender's presence; undefined for one that is about something else. Pure. */
export function presenceOf({ typeUrl, unsubscribe }: Pick<DeltaRequest, "typeUrl" | "unsubscribe">): Presence | undefined {
  if (typeUrl !== presenceTypeUrl) return undefined;
  return unsubscribe.length > 0 ? "leaves" : "stays";
}
