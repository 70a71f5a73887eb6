import { metricOf } from "./http-call.ts";

const name = "atoll_tls_handshakes_total";

/** The TLS handshakes that a sidecar has begun, by its metrics page. @throws Error when it no longer counts them: 0 would be taken for an answer */
export function handshakesOf(page: string, side: "inbound" | "outbound"): number {
  if (!page.includes(name)) throw new Error(`the sidecar has no metric ${name}`);
  return metricOf(page, name, [`side="${side}"`, 'result="begun"']);
}
