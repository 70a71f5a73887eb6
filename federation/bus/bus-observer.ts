/** Hears what an adapter had to give up, so that whoever owns metrics can count it. */
export interface BusObserver {
  /** `count` messages were not delivered or not sent, for want of room or of a connection. */
  dropped(count: number): void;
  /** The connection came back after a loss. */
  reconnected(): void;
}

/** Counts nothing. */
export const silentBusObserver: BusObserver = {
  dropped() {},
  reconnected() {},
};

/** Messages that one subscription may hold for a slow reader; beyond it the newest are dropped and counted. */
export const subscriptionQueueMax = 4_096;
