import type { PlannedFault } from "../fault-plan.ts";
import type { Sighting, Violation } from "../history.ts";
import type { World } from "../world.ts";
import type { Writer } from "../writer.ts";

/** Where faults happen. */
export interface Scene {
  readonly world: World;
  /** By plane. */
  readonly writers: ReadonlyMap<string, Writer>;
  /** How many of a cluster come back at once. */
  readonly proxies: number;
  readonly signal: AbortSignal;
  /** Says in a sentence what the product should have done and did not; a run goes on after it. */
  readonly onSilent: (what: string) => void;
  /** Says in a sentence what had to go on and did not. */
  readonly onStopped: (what: string) => void;
  /** Hears what a process of a plane showed of its own registers that does not lead any more. */
  readonly onStray: (sighting: Sighting) => void;
  /** Hears of what no history shows. */
  readonly onViolation: (violation: Violation) => void;
}

/** Ends a fault as whoever runs Atoll would; resolves when nothing of it is left but its consequences. */
export type Heal = () => Promise<void>;

/** Brings a fault about; resolves when it is in force. */
export type Inject = (scene: Scene, fault: PlannedFault) => Promise<Heal>;
