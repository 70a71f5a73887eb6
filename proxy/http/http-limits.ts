/** Bounds of HTTP/1.1 messages and connections. Every refusal they cause is counted under its fault's name. */
export interface HttpLimits {
  /** Start line and header fields together. Node's own default is 16 KiB, Envoy's 60 KiB. */
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
  headBytesMax: 32_768,
  targetBytesMax: 8_192,
  fieldsMax: 100,
  trailerBytesMax: 8_192,
  extensionBytesMax: 4_096,
  heldBytesMax: 65_536,
};
