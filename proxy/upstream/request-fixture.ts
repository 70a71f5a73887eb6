import type { OutgoingRequest } from "./upstream.ts";

/** The least that a request can be: no fields, no body, no limits. */
export const bareRequest: OutgoingRequest = {
  method: "GET",
  target: "/",
  requestFields: "",
  requestFraming: "none",
  requestLength: 0,
  requestBody: "",
  requestTrailers: "",
  requestComplete: true,
  upgrade: "",
  attempt: 1,
  incomingAttempt: 1,
  hopLeftMs: () => Number.POSITIVE_INFINITY,
  idleMs: Number.POSITIVE_INFINITY,
  priority: 1,
};
