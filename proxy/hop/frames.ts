/**
 * The framing between two sidecars: binary frame heads over one mutually authenticated TLS connection, on which many requests
 * travel at once. The caller's side opens streams with rising numbers; stream 0 is the connection itself.
 *
 *   frame    length u24 (payload only) | kind u8 (END in its highest bit) | stream u32, big-endian
 *   SETTINGS version u16, streams u32, length of the instance's name u8, its name; the first frame of either side
 *   REQUEST  timeout u32 ms, idle u32 ms, attempt u8, class u8, zero u16; then the request's head as HTTP/1.1 text
 *   RESPONSE load report (3 × u16), zero u16; then the response's head as HTTP/1.1 text
 *   REFUSAL  load report, status u16, retry after u32 ms, flag u8, seen by the application u8, the reason: a word, and figures after "; "
 *   DATA     bytes of a body
 *   TRAILERS field lines; ends the stream's body as END on the last DATA does
 *   RESET    code u8: the sender wants, or gives, nothing more on this stream
 *   WINDOW   bytes u32 that may be sent in addition, on the stream or (0) on the connection
 *   PING     a nonce of 8 bytes   PONG   the same nonce, load report
 *   GOAWAY   last stream taken u32, code u8: later streams were not looked at and may be repeated anywhere
 *
 * Unknown kinds are skipped, and so are bytes that a longer payload of a known kind brings.
 */
export const hopProtocol = "atoll/1";
export const hopVersion = 1;

export const frameHeadBytes = 8;
/** In the kind's byte: the sender's last frame of this stream. */
export const endFlag = 0x80;
export const kindMask = 0x7f;

export const frameKinds = {
  settings: 1,
  request: 2,
  response: 3,
  refusal: 4,
  data: 5,
  trailers: 6,
  reset: 7,
  window: 8,
  ping: 9,
  pong: 10,
  goaway: 11,
} as const;

/** Bytes of a payload before its text or rest. */
export const preludeBytes = { settings: 7, request: 12, response: 8, refusal: 14, pong: 14 } as const;

/** Why a stream was given up. */
export const resetCodes = {
  /** Nobody waits for the answer any more. */
  cancelled: 0,
  /** The exchange broke after it had begun: the application saw the request. */
  broken: 1,
  /** The application may not have seen it: the stream was refused before its request was read. */
  untaken: 2,
  /** The message on it broke HTTP's rules. */
  malformed: 3,
  /** Its caller asks elsewhere, since it takes longer than is usual; older sidecars take it for `cancelled`. */
  movedOn: 4,
} as const;

/** Why a connection takes no more streams. All but the first mean that it is closed at once. */
export const goawayCodes = {
  draining: 0,
  /** A frame that cannot be read or comes where it may not. */
  protocol: 1,
  /** More bytes than were allowed, or an allowance beyond all bounds. */
  flowControl: 2,
  /** Frames in numbers that carry nothing. */
  flood: 3,
} as const;

/** "No limit" in a field of ms. */
const unlimitedMs = 0xffff_ffff;

/** Ms as a frame has them: what is over is 0, and what has no bound the largest. */
export function durationField(ms: number): number {
  return ms >= unlimitedMs ? unlimitedMs : Math.max(0, Math.ceil(ms));
}

/** Ms that a frame's field means; +Infinity for no limit. */
export function durationOf(field: number): number {
  return field === unlimitedMs ? Number.POSITIVE_INFINITY : field;
}

export const streamIdMax = 0x7fff_ffff;

/** Bounds of one connection. What a peer may make us hold is their product: streams × window, and `heldBytesMax` in all. */
export interface HopLimits {
  /** Streams open at a time. */
  readonly streamsMax: number;
  /** The head of a message and what stands before it in its frame. */
  readonly headBytesMax: number;
  /** DATA goes out in frames of at most this size, so that streams share a connection evenly. */
  readonly dataBytesMax: number;
  /** The window of a stream at first, and what it may grow to. */
  readonly streamWindowMin: number;
  readonly streamWindowMax: number;
  /** The same for the connection. */
  readonly connectionWindowMin: number;
  readonly connectionWindowMax: number;
  /** Bytes that were received and are not yet taken by their readers; beyond it the connection's window stays shut. */
  readonly heldBytesMax: number;
  /** Bytes that the socket has not taken yet; beyond it bodies wait. */
  readonly unsentBytesMax: number;
  /** Frames that carry nothing: so many at once … */
  readonly controlFramesMax: number;
  /** … and so many each second for ever. */
  readonly controlFramesPerSecond: number;
}

/** The windows at first are part of the protocol's version; the rest is each side's own. */
export const defaultHopLimits: HopLimits = {
  streamsMax: 1_024,
  headBytesMax: 98_304,
  dataBytesMax: 16_384,
  streamWindowMin: 262_144,
  streamWindowMax: 8_388_608,
  connectionWindowMin: 1_048_576,
  connectionWindowMax: 16_777_216,
  heldBytesMax: 16_777_216,
  unsentBytesMax: 1_048_576,
  controlFramesMax: 10_000,
  controlFramesPerSecond: 1_000,
};
