import { sumWindows, type RequestWindow } from "./request-window.ts";

/** The users of one region, as far as a guard looks at them. */
export interface GuardedUsers {
  readonly region: string;
  /** Oldest first. */
  readonly windows: readonly RequestWindow[];
  /** How long their requests are worked on, ms; absent where nobody here knows, and then no answer is too quick or too slow. */
  readonly workMs?: number;
}

/** The guard looks at so much of the past, so a drill begins only on a federation that has been healthy that long. Ms. */
export const healthyForMs = 2_000;
const homeRatioMin = 0.99;
/** Users who wait so much longer than the work on their requests takes stand in a queue, and a drill would measure the queue … */
const slownessMax = 1.5;
/** … but a host that has much to do answers each hop a little later. Ms. */
const slackMs = 250;
/** Answers so much quicker than the work are those to requests of before: work that has just become longer is not answered yet. */
const quicknessMin = 0.5;
/** Of what is asked so much is answered in the same time, once as many end as begin; chance takes some of a few. */
const answeredMin = 0.7;
/** The first window seen may be this much younger than the guard looks back. Ms. */
const startSlackMs = 1_000;

/**
 * Why a drill has to wait, or undefined when it may begin, or go on to the kill: all users are served at home, without a failure,
 * in about the time that their requests are worked on. Looks at [nowMs - 2 s, nowMs). Pure.
 */
export function drillObjection(users: readonly GuardedUsers[], nowMs: number): string | undefined {
  const objections = users.map((one) => objectionOf(one, nowMs - healthyForMs)).filter((text) => text !== undefined);
  return objections.length === 0 ? undefined : objections.join("; ");
}

function objectionOf({ region, windows, workMs }: GuardedUsers, sinceMs: number): string | undefined {
  const [first] = windows;
  if (first === undefined || first.startMs > sinceMs + startSlackMs) return `${region}'s users have only begun to call`;
  const { sent, ok, okTotal, failed, p50Ms } = sumWindows(windows.filter((window) => window.startMs >= sinceMs));
  if (okTotal === 0 || p50Ms === null) return `nobody answers ${region}'s users`;
  if (failed > 0) return `${failed} requests of ${region}'s users failed`;
  if (workMs !== undefined && p50Ms < quicknessMin * workMs) return `${region}'s users have no answers yet to requests of ${workMs} ms of work`;
  if (okTotal < answeredMin * sent) return `${region}'s users have ${okTotal} answers to ${sent} requests so far`;
  const home = ok[region] ?? 0;
  if (home / okTotal < homeRatioMin) return `${okTotal - home} of ${okTotal} answers to ${region}'s users came from elsewhere`;
  if (workMs !== undefined && p50Ms > slownessMax * workMs + slackMs) return `${region}'s users wait ${Math.round(p50Ms)} ms for ${workMs} ms of work`;
  return undefined;
}
