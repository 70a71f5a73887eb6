import { priorityClasses } from "#federation/model/priority-class.ts";

/** What became of a client's word on the class of its request. */
export type PriorityClaim = 0 | 1 | 2 | 3;
export const unclaimed: PriorityClaim = 0;
export const claimTaken: PriorityClaim = 1;
/** No class has that name or number. */
export const claimUnknown: PriorityClaim = 2;
/** The class is not this client's to claim. */
export const claimForbidden: PriorityClaim = 3;

/** Of a client that may claim none: the first index after those of `priorityClasses`. */
export const noPriorities = priorityClasses.length;

/** A request as far as its class goes. */
export interface Classed {
  /** Index in `priorityClasses`. */
  priority: number;
  priorityClaim: PriorityClaim;
}

/** A client claims the class with this index; those before `min` are not its to claim. What is not taken is as if nothing had been said. */
export function claimPriority(x: Classed, index: number, min: number): void {
  if (index < 0 || index >= priorityClasses.length) x.priorityClaim = claimUnknown;
  else if (index < min) x.priorityClaim = claimForbidden;
  else {
    x.priorityClaim = claimTaken;
    x.priority = index;
  }
}
