import type { Backend } from "./surroundings.ts";
import type { Rig } from "./rig.ts";
import type { Shape } from "./shape.ts";

/** A system under test that runs in one shape. */
export interface RunningSubject {
  readonly name: string;
  /** The roots of its process trees: one, or in a pair the caller's proxy and the callee's. */
  readonly pids: readonly number[];
  /** Where load goes: its own port, or that of the originator before it. */
  readonly loadPort: number;
  /** TLS handshakes between the two proxies of a pair since they started. */
  readonly handshakes?: () => Promise<number>;
}

/** What a subject gets to be started with; everything it starts is put on `cleanUp`. */
export interface SubjectStart {
  readonly rig: Rig;
  readonly backend: Backend;
  readonly shape: Shape;
  readonly cleanUp: AsyncDisposableStack;
}

/** A kind of system that can be measured. */
export interface Subject {
  readonly name: string;
  readonly shapes: readonly Shape[];
  start(start: SubjectStart, signal: AbortSignal): Promise<RunningSubject>;
}
