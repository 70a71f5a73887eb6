import { compareGenerations } from "#federation/model/replicated-object.ts";
import type { Heartbeat, LinkNames } from "#federation/model/replication-messages.ts";
import type { Generation } from "#federation/model/snapshot.ts";
import { AtollError, isAtollError } from "#federation/runtime/errors.ts";
import { decodeHeartbeat } from "#federation/wire/frames.ts";
import type { VerifyChain } from "#federation/wire/signed-object.ts";

/** What a receiver has shown by our own signature: our store had come further than it is now. */
export interface ShownBehind {
  readonly epoch: number;
  /** The position that was published. */
  readonly revision: number;
  /** The receiver's name. */
  readonly witness: string;
}

export interface ShownWitnessOptions {
  readonly names: LinkNames;
  readonly publisherTrustDomain: string;
  readonly verifyChain: VerifyChain;
  /** Told of each witness that is refused, once for as long as the same is shown. */
  readonly onRefused: (error: AtollError) => void;
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
    const { onRefused } = this.#options;
    try {
      const { epoch, revision } = openShown(bytes, this.#options);
      if (revision === undefined) throw new AtollError("ATOLL_SIGNATURE_INVALID", "the heartbeat that was shown tells no position");
      if (compareGenerations({ epoch, revision }, present) <= 0) throw new AtollError("ATOLL_SIGNATURE_INVALID", "the heartbeat that was shown is of no higher position than the present one");
      return { epoch, revision };
    } catch (error) {
      if (!isAtollError(error)) throw error;
      onRefused(error);
      return undefined;
    }
  }
}
