/** Largest signed object, encoded with its chain, in bytes: a frame always has room for one. */
export const signedObjectBytesMax = 192 * 1024;

/** Largest heartbeat, acknowledgement or fetch request, in bytes. */
export const controlMessageBytesMax = 32 * 1024;

/** Largest resource that discovery pushes, and largest message of the workload and signer services, in bytes. */
export const resourceBytesMax = 1024 * 1024;

/** Largest discovery request or response, in bytes; grpc-js refuses more than 4 MiB by itself. */
export const discoveryMessageBytesMax = 4 * 1024 * 1024;

/** From so many bytes of resources and names on, the rest of what a subscriber is told comes in further responses: with one more resource a response stays below `discoveryMessageBytesMax`. */
export const discoveryPartBytes = 1024 * 1024;

/** Names of one type that a discovery stream may subscribe to, or say that it holds. */
export const streamNamesMax = 20_000;

/** Bytes of the names and versions that a proxy says it holds, so that its request stays below `discoveryMessageBytesMax`. */
export const heldVersionsBytes = 2 * 1024 * 1024;

/** Largest heartbeat that a receiver keeps and shows to its publisher, in bytes: an acknowledgement has room for it beside the most refusals that are named. */
export const witnessBytesMax = 14 * 1024;

/** Certificates in one chain, and roots in one bundle. */
export const certificatesMax = 16;

/** Refused objects, and kinds of them, that are read of one acknowledgement; those who write it name fewer. */
export const refusedObjectsMax = 64;

/** Items in any other list of a resource: endpoints, places, callers, identities. */
export const listItemsMax = 20_000;

/** Resources that one refusal names; those who write it name no more, and are sent the others again. */
export const refusedResourcesMax = 64;

/** Names in one discovery request, and resources in one response. */
export const discoveryItemsMax = 100_000;

/** Characters in any single name or address. SPIFFE IDs may have 2048. */
export const textLengthMax = 2048;
