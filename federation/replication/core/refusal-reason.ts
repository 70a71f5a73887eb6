/** Why something was not applied; each is a counter. */
export type RefusalReason =
  /** Not for this federation, not from this publisher, or not to this receiver. */
  | "link"
  /** A stream of an earlier term or epoch. */
  | "staleStream"
  /** A frame whose changes are applied already: the bus duplicates and reorders. */
  | "duplicate"
  /** An object of another federation, or of an origin that this publisher may not speak for. */
  | "origin"
  /** An object that is not meant for us. */
  | "audience"
  /** An object that could not be read or whose signature or chain is not good. */
  | "signature"
  /** A generation not above the last applied one of that key. */
  | "revision"
  /** An unknown key of the publisher's own, at or under the floor. */
  | "floor"
  /** Another content at the generation that is held, in a frame. */
  | "content"
  /** What reflects less of the publisher's store than we already had from it, or comes after that was seen: it was rolled back. */
  | "rollback"
  /** Whatever comes while two incarnations of the publisher are heard. */
  | "doubled"
  /** An answer that does not fit the question or is older than what we have. */
  | "staleAnswer";
