/** Bounds of HTTP/1.1 messages and connections. Every refusal they cause is counted under its fault's name. */
export interface HttpLimits {
  /** Start line and header fields together. Node's own default is 16 KiB, Envoy's 60 KiB; tokens and cookies of some applications need more. */
  readonly headBytesMax: number;
  /** Longer request targets get 414. */
  readonly targetBytesMax: number;
  /** Envoy's default for header fields. */
  readonly fieldsMax: number;
  /** Trailer fields of one message. */
  readonly trailerBytesMax: number;
  /** Chunk extensions of one message together: they carry nothing and cost reading. */
  readonly extensionBytesMax: number;
  /** Request bodies and idempotent responses up to here are held until complete, so that a broken one can be retried. */
  readonly heldBytesMax: number;
}

/** What holds unless configured otherwise. */
export const defaultHttpLimits: HttpLimits = {
  headBytesMax: 65_536,
  targetBytesMax: 8_192,
  fieldsMax: 100,
  trailerBytesMax: 8_192,
  extensionBytesMax: 4_096,
  heldBytesMax: 65_536,
};

/** What a proxy's configuration may make of a head's bound: two heads and what sidecars add fit into a frame of the hop. */
export const headBytesRange = { min: 8_192, max: 81_920 } as const;

/**
 * Bounds of heads that come over a hop: what an application may send has grown by what its sidecar adds.
 */
export function overHop(limits: HttpLimits): HttpLimits {
  return { ...limits, headBytesMax: limits.headBytesMax + 8_192, fieldsMax: limits.fieldsMax + 16 };
}
