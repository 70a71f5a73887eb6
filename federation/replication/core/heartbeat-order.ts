import type { Heartbeat } from "#federation/model/replication-messages.ts";

/** Which heartbeats of a publisher are news of it: a replayed one must not make what is known look younger than it is. */
export class HeartbeatOrder {
  #newest: Pick<Heartbeat, "stream" | "beat" | "sentAtMs"> | undefined;

  /**
   * Whether `heartbeat` is later than all before it, by its number in its stream; wall clocks, which jump, decide only between those of
   * publishers that do not count. Its stream must be the one that is followed: which of two is the later is not judged here.
   */
  isNews({ stream, beat, sentAtMs }: Pick<Heartbeat, "stream" | "beat" | "sentAtMs">): boolean {
    const last = this.#newest;
    if (last?.stream === stream) {
      const isLater = beat > 0 && last.beat > 0 ? beat > last.beat : sentAtMs > last.sentAtMs;
      if (!isLater) return false;
    }
    this.#newest = { stream, beat, sentAtMs };
    return true;
  }
}
