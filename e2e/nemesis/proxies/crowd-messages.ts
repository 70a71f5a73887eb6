/** Whoever starts a crowd tells it this; each word once it has begun. */
export type CrowdOrder =
  | { readonly kind: "begin"; readonly joinToken: string; readonly count: number }
  /** Drops every connection, and lets none be made. */
  | { readonly kind: "cut" }
  /** Lets all of them back. */
  | { readonly kind: "open" }
  /** All take their leave of the plane. */
  | { readonly kind: "leave" };

/** What the crowd says of itself, several times a second. */
export interface CrowdReport {
  /** Proxies whose stream the plane has answered. */
  readonly connected: number;
}
