import { RivalProof } from "../core/rival-proof.ts";
import type { LinkNames } from "#federation/model/replication-messages.ts";
import type { ShownPosition } from "#federation/model/store-standing.ts";
import { AtollError, isAtollError } from "#federation/runtime/errors.ts";
import type { Clock } from "#federation/runtime/clock.ts";
import type { VerifyChain } from "#federation/wire/signed-object.ts";
import type { Incarnation } from "./incarnation.ts";
import { openShown } from "./shown-witness.ts";

export interface RivalReaderOptions {
  readonly names: LinkNames;
  readonly publisherTrustDomain: string;
  readonly verifyChain: VerifyChain;
  readonly epoch: number;
  readonly incarnation: Incarnation;
  readonly clock: Clock;
  /** Told when the other one is of a later epoch: an operator has named it. */
  readonly onNamed: (behind: ShownPosition) => void;
  /** Told of each that is refused. */
  readonly onRefused: (error: AtollError) => void;
}

/** What one link's receiver shows of another process of the publisher's name. */
export class RivalReader {
  readonly #options: RivalReaderOptions;
  readonly #proof = new RivalProof();
  /** What was refused last: it may come again each second. */
  #refused: Uint8Array | undefined;

  constructor(options: RivalReaderOptions) {
    this.#options = options;
  }

  /** What our next heartbeat says of it, and which one that is. */
  next(nonce: Uint8Array): { readonly incarnation: string; readonly echo?: Uint8Array } {
    this.#proof.sent(nonce);
    const { echo } = this.#proof;
    return { incarnation: this.#options.incarnation.id, ...(echo === undefined ? {} : { echo }) };
  }

  look(bytes: Uint8Array): void {
    const { names, epoch, incarnation, clock, onNamed, onRefused } = this.#options;
    try {
      const said = openShown(bytes, this.#options);
      if (said.incarnation === undefined || said.incarnation === incarnation.id || said.epoch < epoch) return;
      if (said.epoch > epoch) onNamed({ witnessed: { epoch: said.epoch, revision: said.revision ?? 0 }, witness: names.audience, present: () => ({ epoch, revision: 0 }) });
      else if (this.#proof.shown(said, clock.monotonicMs())) incarnation.meet(said.incarnation, names.audience);
    } catch (error) {
      if (!isAtollError(error)) throw error;
      if (this.#refused === undefined || Buffer.compare(this.#refused, bytes) !== 0) onRefused(error);
      this.#refused = bytes;
    }
  }
}
