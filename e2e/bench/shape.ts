/**
 * What stands on each side of the system under test:
 * - `http`: plain on both sides;
 * - `mtls-out`: plain from the client, mutual TLS to the server, as a sidecar's outbound side;
 * - `mtls-in`: mutual TLS from the client, plain to the server, as its inbound side;
 * - `pair`: plain on both sides of two proxies with mutual TLS between them, as the caller's and the callee's sidecar.
 */
export const shapes = ["http", "mtls-out", "mtls-in", "pair"] as const;

/** One of `shapes`. */
export type Shape = (typeof shapes)[number];

/** A shape with one proxy in it. */
export type SoloShape = Exclude<Shape, "pair">;

/** The backend's answer: 1 KB, the size at which Istio publishes its figures. */
export const answerBytes = 1024;

/** The Host of every request. */
export const benchHost = "catalog.web";
