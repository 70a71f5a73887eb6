/**
 * What the echoes of one path have shown: the smoothed round trip and its variation, as TCP keeps them for its retransmission
 * timeout. Mutable and owned by the prober; times are ms.
 * @see https://www.rfc-editor.org/rfc/rfc6298
 */
export interface RoundTrip {
  /** Undefined until measured. */
  smoothedMs: number | undefined;
  variationMs: number;
  /** The furthest that an echo of late was off: a neighbour that was busy once will be again, and a few calm echoes prove nothing. */
  heldMs: number;
  heldAtMs: number;
}

/** RFC 6298's weights of the newest sample. */
const smoothing = 1 / 8;
const variationSmoothing = 1 / 4;
const variationFactor = 4;
/** What was survived is allowed again, and half as much more. */
const heldFactor = 1.5;
/** `heldMs` falls by half in this time, so that a path is trusted again in a minute after it has become calm. */
const heldHalfMs = 15_000;
/** Until a round trip has been measured. */
const roundTripMsDefault = 300;
/** On a calm path: with the 100 ms between pings this is the promise of 3 × RTT + 350 ms. */
const calmFactor = 3;
const calmGraceMs = 250;
/** However much round trips vary, silence beyond this (or beyond the calm bound of a far path) is silence. */
const variedBoundMsMax = 5_000;

/** A path that was never measured. */
export function createRoundTrip(): RoundTrip {
  return { smoothedMs: undefined, variationMs: 0, heldMs: 0, heldAtMs: 0 };
}

/** An echo came after `sampleMs`, own stalls taken out. No allocation. */
export function recordEcho(path: RoundTrip, sampleMs: number, nowMs: number): void {
  if (path.smoothedMs === undefined) {
    path.smoothedMs = sampleMs;
    path.variationMs = sampleMs / 2;
  } else {
    const offMs = Math.abs(path.smoothedMs - sampleMs);
    hold(path, offMs, nowMs);
    path.variationMs += variationSmoothing * (offMs - path.variationMs);
    path.smoothedMs += smoothing * (sampleMs - path.smoothedMs);
  }
}

/**
 * No echo came within the bound: whether the path was gone or only slower than ever, the next bound is twice this one, and
 * falls back while echoes come (RFC 6298 §5.5). No allocation.
 */
export function recordSilence(path: RoundTrip, nowMs: number): void {
  const nextMs = Math.min(variedBoundMsMax, 2 * echoBoundMs(path, nowMs));
  hold(path, (nextMs - (path.smoothedMs ?? 0)) / heldFactor, nowMs);
}

/**
 * How long an echo may take before the path counts as silent: three round trips and 250 ms where they are steady, and as
 * much more as they vary where they are not.
 */
export function echoBoundMs(path: RoundTrip, nowMs: number): number {
  const smoothedMs = path.smoothedMs ?? roundTripMsDefault;
  const variedMs = smoothedMs + Math.max(variationFactor * path.variationMs, heldFactor * heldNow(path, nowMs));
  return Math.max(calmFactor * smoothedMs + calmGraceMs, Math.min(variedBoundMsMax, variedMs));
}

function hold(path: RoundTrip, offMs: number, nowMs: number): void {
  path.heldMs = Math.max(offMs, heldNow(path, nowMs));
  path.heldAtMs = nowMs;
}

function heldNow(path: RoundTrip, nowMs: number): number {
  return path.heldMs * 0.5 ** (Math.max(0, nowMs - path.heldAtMs) / heldHalfMs);
}
