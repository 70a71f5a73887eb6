import { priorityClasses } from "#federation/model/priority-class.ts";
import { Continue } from "./exchange.ts";
import type { Exchange, Stage, StageResult } from "./exchange.ts";
import { claimForbidden, claimTaken, claimUnknown } from "./priority-claim.ts";

/** Gives a request the class that its service's policy says, unless its client has said one that it may. Counts what clients said in vain. */
export class PriorityStage implements Stage {
  readonly name = "priority";
  /** Claims that were passed over, by why. */
  readonly ignored = { unknown: 0, forbidden: 0 };

  request(x: Exchange): StageResult {
    if (x.priorityClaim === claimTaken) return Continue;
    if (x.priorityClaim === claimUnknown) this.ignored.unknown++;
    else if (x.priorityClaim === claimForbidden) this.ignored.forbidden++;
    if (x.route !== undefined) x.priority = priorityClasses.indexOf(x.route.policy.priority);
    return Continue;
  }

  response(): void {
    // A class is for those who come after.
  }

  end(): void {
    // Nothing is held.
  }
}
