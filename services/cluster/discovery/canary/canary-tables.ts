import { resourceId, resourceKey, type TrafficPolicy } from "#federation/model/resource.ts";
import type { Generation } from "#federation/model/snapshot.ts";
import { DerivedMap } from "#federation/runtime/derived-map.ts";
import { OrderedMap } from "#federation/runtime/ordered-map.ts";
import { WatchedValue, type Watched } from "#federation/runtime/watched.ts";
import type { ClusterState } from "../../cluster-state.ts";
import { DiscoveryTables, type Subscriber } from "../discovery-tables.ts";
import { firstHeldVersions, heldSince, nextHeldVersions, nothingHeld } from "../held-versions.ts";
import type { ResourceTable } from "../resource-table.ts";
import { canaryState, triedForms, withWanted, type CanaryState } from "./canary-state.ts";
import type { PolicyForm } from "./canary-trial.ts";

/**
 * The tables that this cluster's proxies are told, and, while a change is tried, those that its canaries are told: both follow every other
 * change at once. Their versions are one series, so that an answer to either says what its proxy has.
 */
export class CanaryTables {
  #state: ClusterState;
  readonly #canary: WatchedValue<CanaryState>;
  readonly #wanted = new DerivedMap<TrafficPolicy, PolicyForm>((policy) => ({ policy, generation: this.#state.generations.get(keyOf(policy)) }));
  readonly #settledPolicies = policiesOfForms();
  readonly #triedPolicies = policiesOfForms();
  readonly #told: DiscoveryTables;
  #tried: DiscoveryTables | undefined;
  #held = nothingHeld;
  #version = 1;
  #trialVersion = 1;

  private constructor(state: ClusterState, before: CanaryState | undefined) {
    this.#state = state;
    const wanted = this.#wanted.next(state.policies);
    this.#canary = new WatchedValue(withWanted(before ?? canaryState(wanted, OrderedMap.of()), wanted));
    this.#told = new DiscoveryTables(this.#toldState(this.#canary.current));
  }

  /** `before`: what a plane before this one told; undefined: nobody was told by such tables yet, and what there is counts as told. */
  static async of(state: ClusterState, before: CanaryState | undefined): Promise<CanaryTables> {
    const tables = new CanaryTables(state, before);
    tables.#held = firstHeldVersions(tables.#toldGenerations(), tables.#version);
    await tables.#told.build();
    return tables;
  }

  get canary(): Watched<CanaryState> {
    return this.#canary;
  }

  /** Grows whenever any table changes, or who is told which; the first one is 1. */
  get version(): number {
    return this.#version;
  }

  /** The first version in which canaries are told what is tried now. */
  get trialVersion(): number {
    return this.#trialVersion;
  }

  /** What the proxy of that key sees of a type; undefined where it has no business. */
  tableFor(key: string, subscriber: Subscriber, typeUrl: string): ResourceTable | undefined {
    const canary = this.#canary.current.trial?.canaries.get(key);
    // One whose stream has ended twice waits for its verdict, and is not told a third time.
    const isTold = canary !== undefined && canary.state !== "ended";
    return ((isTold ? this.#tried : undefined) ?? this.#told).tableFor(subscriber, typeUrl);
  }

  /** Whether what canaries are told of a resource is another thing than what all others are: a refusal of anything else says nothing of what is tried. */
  isTried(subscriber: Subscriber, typeUrl: string, name: string): boolean {
    const tried = this.#tried?.tableFor(subscriber, typeUrl)?.get(name);
    return tried?.version !== this.#told.tableFor(subscriber, typeUrl)?.get(name)?.version;
  }

  /** The version from which on everybody has this form of a resource, or none of it; see `heldSince`. */
  heldSince(key: string, wanted: Generation | undefined): number | undefined {
    return heldSince(this.#held, key, wanted);
  }

  /** Takes over a state of the cluster; true when streams have to be looked at. O(what changed). */
  take(state: ClusterState): boolean {
    this.#state = state;
    return this.become(withWanted(this.#canary.current, this.#wanted.next(state.policies)));
  }

  /** Takes over what has become of a trial; true when streams have to be looked at. O(what changed). */
  become(canary: CanaryState): boolean {
    const { trial: before } = this.#canary.current;
    const { trial } = canary;
    const isOtherTrial = trial?.forms !== before?.forms || trial?.canaries.size !== before?.canaries.size;
    this.#canary.set(canary);
    // A branch of what all are told before it takes this over: it shares all but what is tried.
    const branch = trial === undefined ? undefined : (this.#tried ?? this.#told.branch());
    const isToldChanged = this.#told.update(this.#toldState(canary));
    const isTriedChanged = branch?.update({ ...this.#state, policies: this.#triedPolicies.next(triedForms(canary)) }) === true;
    this.#tried = branch;
    const isChanged = isToldChanged || isTriedChanged || isOtherTrial;
    if (isChanged) this.#version++;
    if (isOtherTrial) this.#trialVersion = this.#version;
    this.#held = nextHeldVersions(this.#held, this.#toldGenerations(), this.#version);
    return isChanged;
  }

  #toldState(canary: CanaryState): ClusterState {
    return { ...this.#state, policies: this.#settledPolicies.next(canary.settled) };
  }

  /** Of a policy that not all are told of, the position of the form that they are told. */
  #toldGenerations(): ReadonlyMap<string, Generation> {
    const { generations } = this.#state;
    const { unsettled, wanted, settled } = this.#canary.current;
    if (unsettled.size === 0) return generations;
    let told = generations instanceof OrderedMap ? (generations as OrderedMap<Generation>) : OrderedMap.of(generations);
    for (const target of unsettled) {
      const form = wanted.get(target);
      if (form === undefined) continue;
      const key = keyOf(form.policy);
      const present = settled.get(target);
      const generation = present !== undefined && keyOf(present.policy) === key ? present.generation : undefined;
      told = generation === undefined ? told.without(key) : told.with(key, generation);
    }
    return told;
  }
}

function policiesOfForms(): DerivedMap<PolicyForm, TrafficPolicy> {
  return new DerivedMap<PolicyForm, TrafficPolicy>(({ policy }) => policy);
}

function keyOf({ kind, metadata }: TrafficPolicy): string {
  return resourceKey(kind, resourceId(metadata));
}
