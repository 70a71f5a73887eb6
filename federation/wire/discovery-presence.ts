import type { DeltaRequest } from "./discovery-messages.ts";

/**
 * The type by which a proxy of Atoll's says on its discovery stream that it will take its leave, and then that it does. No resource is of it,
 * and no response: planes that do not know it ignore such a request, as they do with every type that a stream may not see.
 */
export const presenceTypeUrl = "type.googleapis.com/atoll.discovery.v1.Presence";

/** What a proxy says of itself: that it will say when it leaves, or that it leaves in order and routes no longer. */
export type Presence = "stays" | "leaves";

/** Any name: presence has no resources. */
const everything = ["*"];

/** What says `presence` on a stream whose first request has named the node. Pure. */
export function presenceRequest(presence: Presence): DeltaRequest {
  const isLeaving = presence === "leaves";
  return { typeUrl: presenceTypeUrl, subscribe: isLeaving ? [] : everything, unsubscribe: isLeaving ? everything : [], initialVersions: {}, responseNonce: "" };
}

/** What a request says of its sender's presence; undefined for one that is about something else. Pure. */
export function presenceOf({ typeUrl, unsubscribe }: Pick<DeltaRequest, "typeUrl" | "unsubscribe">): Presence | undefined {
  if (typeUrl !== presenceTypeUrl) return undefined;
  return unsubscribe.length > 0 ? "leaves" : "stays";
}
