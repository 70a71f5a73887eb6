import { compareGenerations, isInAudience, objectId } from "#federation/model/replicated-object.ts";
import type { OpenedObject, SignedObject } from "#federation/model/replicated-object.ts";
import type { Generation } from "#federation/model/snapshot.ts";
import { contentHash, type Hash } from "./digest-table.ts";
import type { ReceiverRules } from "./receiver-rules.ts";
import type { RefusalReason } from "./refusal-reason.ts";
import type { ReplicaRecords } from "./replica-records.ts";

/** What is to be done with one object that a publisher offers. */
export type ObjectVerdict =
  | { readonly kind: "unreadable" }
  /** `isOffered` is false of what the publisher should not have offered at all. */
  | { readonly kind: "refused"; readonly id: string; readonly object: OpenedObject; readonly reason: RefusalReason; readonly isOffered: boolean }
  | { readonly kind: "held"; readonly id: string }
  /** `isRewritten`: it takes the place of another content at the same generation. */
  | { readonly kind: "taken"; readonly id: string; readonly object: OpenedObject; readonly content: Hash; readonly isRewritten: boolean };

/** By what one object is judged. */
export interface AdmissionBasis {
  readonly rules: Omit<ReceiverRules, "brake">;
  readonly records: Pick<ReplicaRecords, "judge">;
  /** Of the publisher's own objects all up to there are known. */
  readonly floor: Generation;
}

/** Everything that is asked of one object; the signature last, since it costs most and what changes nothing needs none. */
export function judgeObject(signed: SignedObject, source: "frame" | "answer", { rules, records, floor }: AdmissionBasis): ObjectVerdict {
  const object = rules.open(signed);
  if (object === undefined) return { kind: "unreadable" };
  const { payload } = object;
  const { names, origins, audienceNames, admits, isAuthentic } = rules;
  const isOwn = payload.origin === names.publisher;
  const id = objectId(payload);
  const refused = (reason: RefusalReason, isOffered: boolean): ObjectVerdict => ({ kind: "refused", id, object, reason, isOffered });
  if (payload.federation !== names.federation || (origins === "publisher" && !isOwn)) return refused("origin", false);
  if (audienceNames !== undefined && !isInAudience(payload.audience, audienceNames)) return refused("audience", false);
  if (admits !== undefined && !admits(payload)) return refused("origin", false);
  const content = contentHash(signed);
  const known = records.judge(id, { generation: payload.generation, content });
  if (known === "held") return { kind: "held", id };
  if (known === "old") return refused("revision", true);
  // A frame is in order, but only an answer shows by its position that it is not from behind: it is asked for, and brings the content again.
  if (known === "changed" && source === "frame") return refused("content", true);
  // An answer says what there is; a frame under the floor can only be an echo.
  const isUnderFloor = isOwn && known === "unknown" && compareGenerations(payload.generation, floor) <= 0;
  if (isUnderFloor && source === "frame") return refused("floor", true);
  if (!isAuthentic(object)) return refused("signature", true);
  return { kind: "taken", id, object, content, isRewritten: known === "changed" };
}
