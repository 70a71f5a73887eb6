import { compareGenerations } from "#federation/model/replicated-object.ts";
import type { Heartbeat, LinkNames } from "#federation/model/replication-messages.ts";
import type { Generation } from "#federation/model/snapshot.ts";
import type { ShownPosition } from "#federation/model/store-standing.ts";
import { AtollError, isAtollError } from "#federation/runtime/errors.ts";
import { decodeHeartbeat } from "#federation/wire/frames.ts";
import { hasForgotten } from "../core/rollback-guard.ts";
import type { VerifyChain } from "#federation/wire/signed-object.ts";

/** The publisher as it is now. */
export interface ShownTo {
  readonly epoch: number;
  readonly incarnation: string | undefined;
  /** Of its present publication. */
  readonly revision: () => number;
  /** Position of its store when it took that up; undefined where nobody says. */
  readonly opened: number | undefined;
}

export interface ShownWitnessOptions {
  readonly names: LinkNames;
  readonly publisherTrustDomain: string;
  readonly verifyChain: VerifyChain;
  /** Told of each witness that is refused, once for as long as the same is shown. */
  readonly onRefused: (error: AtollError) => void;
  readonly self: ShownTo;
}

/** Reads a heartbeat that a receiver shows its publisher as the publisher's own of that link. @throws {ATOLL_SIGNATURE_INVALID} and what `decodeHeartbeat` throws. */
export function openShown(bytes: Uint8Array, { names, publisherTrustDomain, verifyChain }: Pick<ShownWitnessOptions, "names" | "publisherTrustDomain" | "verifyChain">): Heartbeat {
  const said = decodeHeartbeat(bytes, verifyChain);
  const isOwn = said.publisher === names.publisher && said.federation === names.federation && said.audience === names.audience && said.publisherTrustDomain === publisherTrustDomain;
  if (!isOwn) throw new AtollError("ATOLL_SIGNATURE_INVALID", "the heartbeat that was shown is not of this link");
  return said;
}

/**
 * Judges what a receiver shows its publisher: a heartbeat of the publisher's own, by its signature, at a position that the publisher does
 * not know any more, or of another incarnation whose writes this one did not find. A receiver can keep one back, and cannot make one.
 */
export class ShownWitness {
  readonly #options: ShownWitnessOptions;
  /** The last that was shown: it comes again each second. */
  #last: { readonly bytes: Uint8Array; readonly behind: ShownPosition | undefined } | undefined;

  constructor(options: ShownWitnessOptions) {
    this.#options = options;
  }

  /** What `bytes` prove, for as long as they do. */
  judge(bytes: Uint8Array): ShownPosition | undefined {
    if (this.#last === undefined || Buffer.compare(this.#last.bytes, bytes) !== 0) this.#last = { bytes, behind: this.#read(bytes) };
    const { behind } = this.#last;
    return behind !== undefined && compareGenerations(behind.witnessed, behind.present()) > 0 ? behind : undefined;
  }

  #read(bytes: Uint8Array): ShownPosition | undefined {
    const { onRefused, names, self } = this.#options;
    const { epoch: ownEpoch, incarnation, opened } = self;
    try {
      const said = openShown(bytes, this.#options);
      const { epoch, revision, written } = said;
      if (revision === undefined) throw new AtollError("ATOLL_SIGNATURE_INVALID", "the heartbeat that was shown tells no position");
      if (opened !== undefined && written !== undefined && hasForgotten({ epoch: ownEpoch, incarnation, opened }, said)) {
        return { witnessed: { epoch, revision: written }, witness: names.audience, present: () => ({ epoch: ownEpoch, revision: opened }) };
      }
      const present = (): Generation => ({ epoch: ownEpoch, revision: self.revision() });
      if (compareGenerations({ epoch, revision }, present()) <= 0) throw new AtollError("ATOLL_SIGNATURE_INVALID", "the heartbeat that was shown is of no higher position than the present one");
      return { witnessed: { epoch, revision }, witness: names.audience, present };
    } catch (error) {
      if (!isAtollError(error)) throw error;
      onRefused(error);
      return undefined;
    }
  }
}
