import type { LinkNames } from "#federation/model/replication-messages.ts";
import type { ObjectPayload, OpenedObject, SignedObject } from "#federation/model/replicated-object.ts";
import type { BrakeRules } from "./withdrawal-brake.ts";

/** Who a receiver listens to, and what it takes. */
export interface ReceiverRules {
  readonly names: LinkNames;
  /** `publisher`: only objects whose origin is the publisher itself; `any`: it relays. */
  readonly origins: "publisher" | "any";
  /** Names by which we are meant in an object's audience; absent: every audience is passed on. */
  readonly audienceNames?: readonly string[];
  /** A further condition, e.g. the namespaces a cluster may export. */
  readonly admits?: (payload: ObjectPayload) => boolean;
  /** What is held back of withdrawals that nothing explains. Absent: all of them go. */
  readonly brake?: BrakeRules;
  /** Reads the header without trusting it; undefined when it cannot be read. */
  readonly open: (signed: SignedObject) => OpenedObject | undefined;
  /** True when the object is what its origin signed. Asked only of objects that would change something. */
  readonly isAuthentic: (object: OpenedObject) => boolean;
}
