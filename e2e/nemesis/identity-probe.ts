import { systemClock } from "#federation/runtime/clock.ts";
import { createDnsLookup } from "#federation/runtime/dns/name-lookup.ts";
import { describeError } from "#federation/runtime/errors.ts";
import type { Joined } from "#proxy/control/join-plane.ts";
import { renewByKey } from "#proxy/control/renew-identity.ts";
import { eventually } from "../harness/eventually.ts";
import type { Scene } from "./faults/fault.ts";
import type { World } from "./world.ts";

const renewedMsMax = 60_000;
const never = new AbortController().signal;

/** A workload that has joined a cluster, as its proxy would. */
export class IdentityProbe {
  readonly #joined: Joined;

  private constructor(joined: Joined) {
    this.#joined = joined;
  }

  /** Its plane must be taking writes: a token is used up in its store. */
  static async join({ federation }: World, cluster: string): Promise<IdentityProbe> {
    // Whoever joins while something else is healing tries again, with a token of its own.
    const joined = await eventually(`a workload joins ${cluster}`, async () => await federation.redeem(await federation.workloadToken(cluster, "web", "probe")), renewedMsMax);
    return new IdentityProbe(joined);
  }

  /** Sees to it that the identity is renewed while `what` is so. */
  async expectRenewed({ onStopped }: Scene, what: string): Promise<void> {
    const { plane, svid } = this.#joined;
    const dialing = { clock: systemClock, lookup: createDnsLookup() };
    try {
      await eventually("an identity is renewed", async () => (await renewByKey({ plane, addresses: plane.joinAddresses, svid, dialing }, never)).svid.notAfterMs >= svid.notAfterMs, renewedMsMax);
    } catch (error) {
      onStopped(`while ${what}: ${describeError(error)}`);
    }
  }
}
