import { compareGenerations } from "#federation/model/replicated-object.ts";
import type { LinkNames } from "#federation/model/replication-messages.ts";
import type { Generation } from "#federation/model/snapshot.ts";
import { AtollError, isAtollError } from "#federation/runtime/errors.ts";
import { decodeHeartbeat } from "#federation/wire/frames.ts";
import type { VerifyChain } from "#federation/wire/signed-object.ts";

export interface ShownWitnessOptions {
  readonly names: LinkNames;
  readonly publisherTrustDomain: string;
  readonly verifyChain: VerifyChain;
  /** Told of each witness that is refused, once for as long as the same is shown. */
  readonly onRefused: (error: AtollError) => void;
}

/**
 * Judges what a receiver shows its publisher: a heartbeat of the publisher's own, by its signature, at a position that the publisher does
 * not know any more. A receiver can keep one back, and cannot make one.
 */
export class ShownWitness {
  readonly #options: ShownWitnessOptions;
  /** The last that was shown: it comes again each second. */
  #last: { readonly bytes: Uint8Array; readonly position: Generation | undefined } | undefined;

  constructor(options: ShownWitnessOptions) {
    this.#options = options;
  }

  /** The position that `bytes` prove, when it is above `present`. */
  judge(bytes: Uint8Array, present: Generation): Generation | undefined {
    if (this.#last === undefined || Buffer.compare(this.#last.bytes, bytes) !== 0) this.#last = { bytes, position: this.#read(bytes, present) };
    const { position } = this.#last;
    return position !== undefined && compareGenerations(position, present) > 0 ? position : undefined;
  }

  #read(bytes: Uint8Array, present: Generation): Generation | undefined {
    const { names, publisherTrustDomain, verifyChain, onRefused } = this.#options;
    try {
      const { epoch, revision, ...said } = decodeHeartbeat(bytes, verifyChain);
      const isOwn = said.publisher === names.publisher && said.federation === names.federation && said.audience === names.audience && said.publisherTrustDomain === publisherTrustDomain;
      if (!isOwn || revision === undefined) throw new AtollError("ATOLL_SIGNATURE_INVALID", "the heartbeat that was shown is not of this link");
      if (compareGenerations({ epoch, revision }, present) <= 0) throw new AtollError("ATOLL_SIGNATURE_INVALID", "the heartbeat that was shown is of no higher position than the present one");
      return { epoch, revision };
    } catch (error) {
      if (!isAtollError(error)) throw error;
      onRefused(error);
      return undefined;
    }
  }
}
