/**
 * Why a response is not simply what upstream said, in Envoy's words.
 * @see https://www.envoyproxy.io/docs/envoy/latest/configuration/observability/access_log/usage
 */
export type ResponseFlag = (typeof responseFlags)[number];

/**
 * `-` nothing; DC client left; DPE client broke the protocol; NR no route; UAEX refused by authorization; UC upstream
 * connection ended; UF upstream connect failed; UH no usable upstream; UO circuit limit; UPE upstream broke the
 * protocol; URX retries used up; UT upstream timeout; SI a body that went silent.
 */
export const responseFlags = ["-", "DC", "DPE", "NR", "UAEX", "UC", "UF", "UH", "UO", "UPE", "URX", "UT", "SI"] as const;
