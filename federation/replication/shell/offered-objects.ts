import type { ObjectPayload, OpenedObject } from "#federation/model/replicated-object.ts";
import { changedKeys, OrderedMap } from "#federation/runtime/ordered-map.ts";
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
  #basis: readonly unknown[] = [];
  #all: ReadonlyMap<string, OpenedObject> = new Map();
  #offered = OrderedMap.of<OpenedObject>();

  constructor(rule: OfferRule | undefined) {
    this.#rule = rule;
  }

  /** O(changes) while the rule's basis is what it was and states share what they have in common, O(objects) otherwise. */
  next({ revision, objects }: PublishedState): PublishedState {
    const rule = this.#rule;
    if (rule === undefined) return { revision, objects };
    const basis = rule.basis();
    const isSame = basis.length === this.#basis.length && basis.every((part, at) => Object.is(part, this.#basis[at]));
    const keys = isSame ? changedKeys(this.#all, objects) : new Set([...this.#offered.keys(), ...objects.keys()]);
    for (const id of keys) {
      const object = objects.get(id);
      this.#offered = object !== undefined && rule.offers(object.payload) ? this.#offered.with(id, object) : this.#offered.without(id);
    }
    this.#basis = basis;
    this.#all = objects;
    return { revision, objects: this.#offered };
  }
}
