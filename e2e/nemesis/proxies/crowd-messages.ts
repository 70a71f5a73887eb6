/** Whoever starts a crowd tells it this; each word once it has begun. */
export type CrowdOrder =
  /** `name` begins the names of all its proxies. */
  | { readonly kind: "begin"; readonly name: string; readonly joinToken: string; readonly count: number }
  /** Drops every connection, and lets none be made. */
  | { readonly kind: "cut" }
  /** Lets all of them back. */
  | { readonly kind: "open" }
  /** All take their leave of the plane. */
  | { readonly kind: "leave" };

/** What the crowd says of itself: how it stands several times a second, and at last why it ends, when nobody told it to. */
export type CrowdReport =
  /** `connected` are the proxies whose stream the plane has answered. */
  | { readonly kind: "stands"; readonly connected: number }
  | { readonly kind: "fails"; readonly reason: string };
