import type { ObjectPayload, OpenedObject } from "#federation/model/replicated-object.ts";
import { DerivedMap } from "#federation/runtime/derived-map.ts";
import { isSameList } from "#federation/runtime/same-list.ts";
import type { PublishedState } from "../core/publisher.ts";

/** Who is offered what. */
export interface OfferRule {
  offers(payload: ObjectPayload): boolean;
  /** What its answers depend on besides the payload: as long as each of these is the same, so is the answer for an object. */
  basis(): readonly unknown[];
}

/** The part of a publisher's states that one audience is offered, followed through them. */
export class OfferedObjects {
  readonly #rule: OfferRule | undefined;
  readonly #offered: DerivedMap<OpenedObject, OpenedObject>;
  #basis: readonly unknown[] = [];

  constructor(rule: OfferRule | undefined) {
    this.#rule = rule;
    this.#offered = new DerivedMap((object) => (rule === undefined || rule.offers(object.payload) ? object : undefined));
  }

  /** O(changes) while the rule's basis is what it was and states share what they have in common, O(objects) otherwise. */
  next({ revision, objects }: PublishedState): PublishedState {
    if (this.#rule === undefined) return { revision, objects };
    const before = this.#basis;
    this.#basis = this.#rule.basis();
    return { revision, objects: isSameList(this.#basis, before) ? this.#offered.next(objects) : this.#offered.anew(objects) };
  }
}
