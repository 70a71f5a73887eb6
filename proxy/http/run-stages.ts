import { Reply, Wait } from "./exchange.ts";
import type { Exchange, Stage } from "./exchange.ts";

/** Runs the stages that have not run yet, until one waits or the reply is set. */
export function runStages(stages: readonly Stage[], x: Exchange): void {
  while (x.stagesRun < stages.length) {
    const stage = stages[x.stagesRun++];
    const result = stage?.request(x);
    if (result === Wait) return;
    if (result === Reply) {
      x.client.reply(x);
      return;
    }
  }
}

/** Tells the stages that ran, last first, of the response that the client gets. */
export function hearResponse(stages: readonly Stage[], x: Exchange): void {
  for (let at = x.stagesRun - 1; at >= 0; at--) stages[at]?.response(x);
}

/** Tells the stages that ran, last first, that the exchange is over; once. */
export function endExchange(stages: readonly Stage[], x: Exchange): void {
  if (!x.active) return;
  x.active = false;
  for (let at = x.stagesRun - 1; at >= 0; at--) stages[at]?.end(x);
}

/** The caller has lost its right: what it does ends, as a refusal while that can be said. */
export function revokeExchange(x: Exchange): void {
  if (!x.active) return;
  x.forwarder?.cancel(x, "clientGone");
  x.flag = "UAEX";
  x.reason = "caller_not_allowed";
  if (x.responseStarted) {
    x.client.abortResponse(x);
    return;
  }
  x.status = 403;
  x.client.reply(x);
}
