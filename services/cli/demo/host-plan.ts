/** What a host gave to a short piece of work that resembles the mesh's, on every processor at once. */
export interface HostMeasurement {
  /** On which it was measured; a host may have more. */
  readonly processors: number;
  /** CPU time got of what the processors have, in [0, 1]: a neighbour's load, or a quota, takes the rest. */
  readonly shareRatio: number;
  /** CPU time for one round of that work, µs. */
  readonly roundMicros: number;
}

/** How many processes each size of the federation has. */
export interface FederationSizes {
  readonly full: number;
  /** Absent where there is no choice: a federation that was made before, or a region that only the full one has. */
  readonly small?: number;
}

/** What the demonstration asks of a host. */
export interface HostPlan {
  readonly size: "full" | "small";
  /** Requests per second that would take all that we get of the host, beside the federation's own processes. */
  readonly carriesPerSecond: number;
  /** What users of all regions send, per second. */
  readonly ratePerSecond: number;
  /** The share of our processors that this takes in the steady state. */
  readonly steadyRatio: number;
  /** Why it is small, or slower than it should be, if so. */
  readonly shortage: "none" | "busy" | "small";
}

/**
 * What a user's request costs on its way through edge, storefront, catalog and back, in rounds of the probe, and what a
 * process of the federation costs per second while nobody calls. Measured in one run with the probe, two cores: 3.9 ms
 * and 14 ms at 550 µs a round.
 */
const requestRounds = 7;
const processRoundsPerSecond = 25;
/** The steady state takes at most so much of the processors: a region's loss, and starting it again, need the rest. */
const steadyRatioMax = 0.45;
/** With fewer requests than this three regions are too many. */
const fullRateMin = 80;
/** With fewer still the users of a region are too few to see anything. */
const rateMin = 40;
/** More shows nothing more. */
const rateMax = 520;
/** Below this, somebody else takes part of the processors; measuring alone takes a few per cent. */
const ownShareMin = 0.85;

/** What to run on a host. Pure. `rateAsked` is what the user wants instead, whatever it takes. */
export function planForHost(host: HostMeasurement, sizes: FederationSizes, rateAsked?: number): HostPlan {
  const full = roomFor(host, sizes.full);
  const isShort = full.steadyRate < fullRateMin;
  const room = isShort && sizes.small !== undefined ? roomFor(host, sizes.small) : full;
  const ratePerSecond = Math.round(rateAsked ?? Math.min(Math.max(room.steadyRate, rateMin), rateMax));
  return {
    size: room === full ? "full" : "small",
    carriesPerSecond: Math.round(room.carries),
    ratePerSecond,
    steadyRatio: (room.idleRounds + ratePerSecond * requestRounds) / room.rounds,
    shortage: !isShort ? "none" : host.shareRatio < ownShareMin ? "busy" : "small",
  };
}

interface Room {
  /** Rounds per second that we get in all, and of it what the processes take while nobody calls. */
  readonly rounds: number;
  readonly idleRounds: number;
  readonly carries: number;
  readonly steadyRate: number;
}

function roomFor({ processors, shareRatio, roundMicros }: HostMeasurement, processes: number): Room {
  const rounds = (processors * shareRatio * 1_000_000) / roundMicros;
  const idleRounds = processes * processRoundsPerSecond;
  return { rounds, idleRounds, carries: Math.max(0, (rounds - idleRounds) / requestRounds), steadyRate: (rounds * steadyRatioMax - idleRounds) / requestRounds };
}

/** The measurement and the plan in sentences. */
export function describeHost(host: HostMeasurement, plan: HostPlan): readonly string[] {
  const percent = (ratio: number): string => `${Math.round(ratio * 100)} %`;
  const busy = host.shareRatio < ownShareMin ? `; of their time others take ${percent(1 - host.shareRatio)}` : "";
  const steady = `users send ${plan.ratePerSecond}, and the federation takes about ${percent(plan.steadyRatio)} of what it gets`;
  return [
    `This host (${host.processors} processors measured${busy}) carries about ${plan.carriesPerSecond} requests/s; ${steady}.`,
    ...(plan.shortage === "none" ? [] : [`It is too ${plan.shortage} for ${plan.size === "small" ? "three regions: there will be two, with fewer processes" : "a federation of this size: expect it to be slow"}.`]),
  ];
}
