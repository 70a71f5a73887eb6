import { rmSync } from "node:fs";
import { MemoryHub } from "#federation/bus/memory-bus.ts";
import type { Catalog } from "#federation/catalog/catalog.ts";
import { authorityPinOf } from "#federation/identity/authority-pin.ts";
import { apiVersion, type Relationship } from "#federation/model/resource.ts";
import { createSeededRandom, type Random } from "#federation/runtime/random.ts";
import { VirtualClock } from "#federation/runtime/virtual-clock.ts";
import { copyOfNothing, type StoreCopy } from "#federation/store/exchanged-store-fixture.ts";
import { approvalContent } from "#services/cluster/exports/trust-domain-content.ts";
import { approvalKind } from "#services/cluster/trust/own-approvals.ts";
import { clusterResource, clusters, globalName, namespace, pay, planeNames, regionResource, shop } from "./cast.ts";
import { credentials, type Credentials } from "./credentials.ts";
import { notAsDone } from "./done-and-held.ts";
import { doneLinks } from "./done-links.ts";
import type { Operation } from "./operations.ts";
import { SimulatedCluster, SimulatedGlobal, type Surroundings } from "./planes.ts";
import type { SimulatedPlane } from "./simulated-plane.ts";
import { exportRegister, originOf, policyName, policyRegister, relationshipRegister, serviceName, versionBase, validUntilOf } from "./registers.ts";
import { SeenOrder } from "./seen-order.ts";
import { settled } from "./settled.ts";
import { isOwnOf, ShownRegisters, trustDomainOf, type Shown } from "./shown-registers.ts";
import { SkewedClock } from "./skewed-clock.ts";
import { troubledBus } from "./troubled-bus.ts";
import { Truth } from "./truth.ts";

/** Longer than every wait of replication: the fetch's backoff of 30 s, and a request under way. */
const healMs = 45_000;
const settleMs = 12_000;
/** So soon a federation without faults is what it is meant to be at first. */
const beginMs = 4_000;
/** How often it is looked whether all links are whole. */
const wholeEveryMs = 1_000;
const watchedEveryMs = 200;
/** So long a copy of a plane runs beside it: until it is known, and some more. */
const clonedMs = 16_000;
const writtenEveryMs = 4_000;
/** A plane is believed again once it was heard alone for 60 s. */
const believedAgainMs = 75_000;
const relationshipName = "pay-calls-shop";
const never = new AbortController().signal;

/**
 * A global plane and three clusters of two trust domains, each the shipped one without its ports, over stores in memory, a bus that loses,
 * repeats and delays, and a clock that moves when told to.
 */
export class SimulatedFederation implements AsyncDisposable {
  readonly truth = new Truth();
  readonly violations: string[] = [];
  readonly #clock: VirtualClock;
  readonly #clocks: ReadonlyMap<string, SkewedClock>;
  readonly #hub: MemoryHub;
  readonly #random: Random;
  readonly #credentials: Credentials;
  readonly #global: SimulatedGlobal;
  readonly #clusters: readonly SimulatedCluster[];
  readonly #copies = new Map<string, StoreCopy>();
  readonly #order = new SeenOrder();
  readonly #shown: ShownRegisters;
  readonly #surroundings: Surroundings;

  private constructor(surroundings: Surroundings, planes: { readonly global: SimulatedGlobal; readonly clusters: readonly SimulatedCluster[] }, shared: { readonly clock: VirtualClock; readonly clocks: ReadonlyMap<string, SkewedClock> }) {
    this.#surroundings = surroundings;
    this.#random = surroundings.random;
    this.#credentials = surroundings.credentials;
    this.#global = planes.global;
    this.#clusters = planes.clusters;
    this.#shown = new ShownRegisters(planes, shared.clock);
    this.#hub = surroundings.hub;
    this.#clock = shared.clock;
    this.#clocks = shared.clocks;
  }

  /** Up, with its places and trust domains known everywhere. */
  static async create(seed: number): Promise<SimulatedFederation> {
    const random = createSeededRandom(seed);
    const made = await credentials();
    const clock = new VirtualClock();
    const clocks = new Map(planeNames.map((name) => [name, new SkewedClock(clock)]));
    const hub = new MemoryHub(clock);
    const clockOf = (plane: string): SkewedClock => clocks.get(plane) ?? new SkewedClock(clock);
    const surroundings: Surroundings = { hub, random, credentials: made, clockOf };
    const global = await SimulatedGlobal.create(surroundings);
    const members: SimulatedCluster[] = [];
    for (const cast of clusters) members.push(await SimulatedCluster.create(cast, surroundings));
    const federation = new SimulatedFederation(surroundings, { global, clusters: members }, { clock, clocks });
    await federation.#begin();
    return federation;
  }

  async apply(operation: Operation): Promise<void> {
    switch (operation.kind) {
      case "putPolicy":
        return await this.#write(globalName, policyRegister(operation.key), this.truth.next(), async (catalog, version) => {
          await catalog.resources("TrafficPolicy").apply({ apiVersion, kind: "TrafficPolicy", metadata: { namespace, name: policyName(operation.key) }, spec: { targetRef: { namespace, name: policyName(operation.key) }, timeouts: { requestMs: versionBase + version } } }, {}, never);
        });
      case "deletePolicy":
        return await this.#write(globalName, policyRegister(operation.key), 0, async (catalog) => void (await catalog.resources("TrafficPolicy").remove(`${namespace}/${policyName(operation.key)}`, {}, never)));
      case "export":
        return await this.#write(operation.cluster, exportRegister(operation.cluster, operation.key), this.truth.next(), async (catalog, version) => {
          const metadata = { namespace, name: serviceName(operation.key) };
          await catalog.resources("Service").apply({ apiVersion, kind: "Service", metadata, spec: { ports: [{ name: "http", port: versionBase + version, protocol: "http" }], serviceAccounts: ["app"] } }, {}, never);
          // The first service of the callee is for the other team, too, once there is a relationship.
          const consumers = operation.key === 0 && trustDomainOf(operation.cluster) === shop ? { consumers: [{ trustDomain: shop }, { trustDomain: pay }] } : {};
          await catalog.resources("ServiceExport").apply({ apiVersion, kind: "ServiceExport", metadata, spec: consumers }, {}, never);
        });
      case "unexport":
        return await this.#write(operation.cluster, exportRegister(operation.cluster, operation.key), 0, async (catalog) => void (await catalog.resources("ServiceExport").remove(`${namespace}/${serviceName(operation.key)}`, {}, never)));
      case "relate":
        return await this.#relate();
      case "revoke":
        return await this.#write(globalName, relationshipRegister, 0, async (catalog) => void (await catalog.resources("Relationship").remove(relationshipName, {}, never)));
      case "restart": {
        const plane = this.#plane(operation.plane);
        await this.#stop(plane);
        plane.start();
        return await this.#clock.advance(1_000);
      }
      case "cut":
      case "join":
        return this.#plane(operation.plane).setConnected(operation.kind === "join");
      case "skew":
        this.#skew(operation.plane, operation.ms);
        return;
      case "lossy":
        this.#hub.faults = troubledBus(this.#random);
        return;
      case "faultless":
        this.#hub.faults = () => [0];
        return;
      case "rollBack":
        return await this.#rollBack(operation, this.#copies.get(operation.plane));
      case "wipe":
        return await this.#rollBack({ plane: operation.plane, decision: "take-newer", around: "nothing" }, copyOfNothing);
      case "trouble":
        this.#plane(operation.plane).trouble = operation.trouble;
        return;
      case "untroubled":
        this.#plane(operation.plane).trouble = undefined;
        return;
      case "clone":
        return await this.#clone(operation.plane);
      case "wait":
        return await this.#clock.advance(operation.ms);
    }
  }

  /** Keeps what each store holds now, for a later rollback. */
  async copyStores(): Promise<void> {
    for (const name of planeNames) this.#copies.set(name, await this.#plane(name).copyStore());
  }

  /** Everything works again, and has all the time that it may need. */
  async heal(): Promise<void> {
    this.#repair();
    await this.#clock.advance(healMs);
  }

  /** Everything works again, and has the time that it needs: until every receiver has heard since then that it holds what it is offered, and every plane shows what it should. */
  async #settle(): Promise<void> {
    this.#repair();
    const sinceMs = this.#clock.monotonicMs();
    for (let ms = 0; ms < healMs; ms += wholeEveryMs) {
      await this.#clock.advance(wholeEveryMs);
      if (this.#areLinksWhole(sinceMs) && (await this.#faultsOfHealed()).length === 0) return;
    }
  }

  #areLinksWhole(sinceMs: number): boolean {
    const links = [this.#global.statuses, ...this.#clusters.map(({ statuses }) => statuses)].flatMap((statuses) => [...(statuses ?? [])]);
    return links.length === 2 * clusters.length && links.every(([, { isBehind, doubled, wholeAtMonotonicMs = -1 }]) => !isBehind && doubled === undefined && wholeAtMonotonicMs >= sinceMs);
  }

  #repair(): void {
    this.#hub.faults = () => [0];
    for (const name of planeNames) {
      this.#skew(name, 0);
      this.#plane(name).trouble = undefined;
      this.#plane(name).setConnected(true);
      this.#plane(name).start();
    }
  }

  /** Judges what planes show now; with `isHealed` also that it is all that is true. */
  async look(when: string, isHealed: boolean): Promise<void> {
    for (const plane of this.#planes()) for (const failure of plane.failures.splice(0)) this.violations.push(`${when}: the plane of ${plane.name} ended: ${String(failure)}`);
    for (const name of planeNames) {
      const shown = await this.#shown.at(name);
      if (shown === undefined) continue;
      for (const [register, version] of shown) if (!this.truth.wasWritten(register, version)) this.violations.push(`${when}: ${name} shows ${register} as ${version}, which nobody wrote`);
      for (const register of this.truth.registers) {
        const fault = this.#order.see({ plane: name, register, version: shown.get(register) ?? 0, mayBeWithdrawn: this.#shown.mayBeWithdrawn(name, register) });
        if (fault !== undefined) this.violations.push(`${when}: ${name} shows ${register} ${fault}`);
      }
    }
    if (isHealed) this.violations.push(...(await this.#faultsOfHealed()).map((fault) => `${when}: ${fault}`));
  }

  /** Judges what publishers know to be done: acknowledged means in the receiver's store. */
  async lookAtDone(when: string): Promise<void> {
    const before = doneLinks(this.#global, this.#clusters);
    for (const receiver of planeNames) {
      const plane = this.#plane(receiver);
      if (plane.served === undefined || plane.trouble === "away") continue;
      const held = await settled(this.#clock, plane.heldGenerations());
      const after = doneLinks(this.#global, this.#clusters);
      for (const { publisher, done } of before.filter((link) => link.receiver === receiver)) {
        const still = after.find((link) => link.publisher === publisher && link.receiver === receiver)?.done ?? new Map();
        for (const fault of notAsDone(done, held, still)) this.violations.push(`${when}: ${receiver} has acknowledged ${fault}, and it is not so`);
      }
    }
  }

  /** What every plane shows, for comparing two runs. */
  async trace(): Promise<string> {
    const lines: string[] = [];
    for (const name of planeNames) {
      const shown = await this.#shown.at(name);
      lines.push(`${name} ${shown === undefined ? "away" : [...shown].toSorted(([a], [b]) => (a < b ? -1 : 1)).map(([register, version]) => `${register}=${version}`).join(" ")}`);
    }
    return lines.join("\n");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const plane of this.#planes()) {
      await this.#stop(plane);
      rmSync(plane.dataDir, { recursive: true, force: true });
    }
  }

  async #begin(): Promise<void> {
    for (const plane of this.#planes()) plane.start();
    await this.#clock.advance(1_000);
    const catalog = this.#global.plane.served?.catalog;
    if (catalog === undefined) throw new Error("the global plane does not begin");
    await catalog.resources("Region").apply(regionResource, {}, never);
    for (const [trustDomain, signer] of this.#credentials.signers) await catalog.resources("TrustDomain").apply({ apiVersion, kind: "TrustDomain", metadata: { name: trustDomain }, spec: signer.statement() }, {}, never);
    for (const cast of clusters) await catalog.resources("Cluster").apply(clusterResource(cast), {}, never);
    await this.#clock.advance(beginMs);
    await this.copyStores();
  }

  async #write(plane: string, register: string, version: number, write: (catalog: Catalog, version: number) => Promise<void>): Promise<void> {
    const served = this.#plane(plane).served;
    if (served?.termStore.life.isSound !== true) return;
    this.truth.begin(register, version);
    try {
      await settled(this.#clock, write(served.catalog, version));
    } catch {
      // Not acknowledged: it may be there or not.
      return;
    }
    this.truth.acknowledge(register, version);
  }

  async #relate(): Promise<void> {
    const version = this.truth.next();
    const pin = (trustDomain: typeof shop): string => authorityPinOf(this.#credentials.signers.get(trustDomain)?.authorityCertificatePem ?? "");
    const relationship: Relationship = {
      apiVersion,
      kind: "Relationship",
      metadata: { name: relationshipName },
      spec: { caller: { trustDomain: pay, authoritySha256: pin(pay), principals: ["*"] }, callee: { trustDomain: shop, authoritySha256: pin(shop), services: [`${namespace}/${serviceName(0)}`] }, validUntil: validUntilOf(version) },
    };
    await this.#write(globalName, relationshipRegister, version, async (catalog) => void (await catalog.resources("Relationship").apply(relationship, {}, never)));
    await this.#clock.advance(2_000);
    for (const { cast, serving } of this.#clusters) {
      const signer = cast.isSigner ? this.#credentials.signers.get(cast.trustDomain) : undefined;
      const known = serving?.replicated.state.current.relationships.get(relationshipName);
      if (signer === undefined || known === undefined || serving?.termStore.life.isSound !== true) continue;
      const approval = signer.approve(known, cast.trustDomain === pay ? "caller" : "callee", this.#clocks.get(cast.name)?.nowMs() ?? 0);
      await settled(this.#clock, serving.own.put(approvalKind, relationshipName, approvalContent(known, approval), never)).catch(() => undefined);
    }
  }

  /** With everything well, an operator's store goes back; that has to be noticed where something is lost, and what is decided has to come true. */
  async #rollBack({ plane: name, decision, around }: Omit<Extract<Operation, { kind: "rollBack" }>, "kind">, copy: StoreCopy | undefined): Promise<void> {
    const plane = this.#plane(name);
    if (copy === undefined) return;
    await this.#settle();
    await this.look(`before ${name} goes back`, true);
    const before = await this.#shown.at(name);
    const isOrigin = (register: string): boolean => isOwnOf(name, register);
    this.#order.forget(name, isOrigin);
    if (around !== "nothing") await this.#stop(plane);
    if (around === "lostWitness") {
      await plane.putBackWhole(copy);
      plane.loseWitness();
    } else {
      await plane.putBack(copy);
    }
    if (around !== "nothing") plane.start();
    await this.#clock.advance(settleMs);
    if (plane.served === undefined) {
      this.violations.push(`${name} does not serve after its store went back`);
      return;
    }
    if (plane.served.standing.state === "sound") {
      const after = await this.#shown.at(name);
      const lost = [...(before ?? [])].filter(([register, version]) => isOwnOf(name, register) && after?.get(register) !== version);
      if (lost.length > 0) this.violations.push(`the store of ${name} went back, and nobody noticed: ${lost.map(([register]) => register).join(", ")}`);
      return;
    }
    const holders = name === globalName ? this.#clusters.map((cluster) => cluster.plane) : [this.#global.plane];
    try {
      await settled(this.#clock, plane.decide(decision, holders));
    } catch (error) {
      this.violations.push(`a decision about the store of ${name} failed: ${String(error)}`);
      return;
    }
    await this.#watch(name, isOrigin);
    if (decision === "keep") await this.#takeForTrue(name);
    await this.#settle();
    this.#order.forget(name, isOrigin);
    await this.look(`after ${name} went back (${decision})`, true);
  }

  /** Somebody starts a copy of a plane's disk and store beside it, and ends it: who has been told something must not see it go, and afterwards all is as the plane itself has it. */
  async #clone(name: string): Promise<void> {
    await this.#settle();
    await this.look(`before ${name} has a copy`, true);
    const plane = this.#plane(name);
    const copy = await this.#copyOf(name);
    try {
      await settled(this.#clock, copy.takeAfter(plane));
      await this.#writeAnything(name);
      copy.start();
      for (let ms = 0; ms < clonedMs; ms += watchedEveryMs) {
        if (ms % writtenEveryMs === 0) await this.#writeAnything(name);
        await this.#clock.advance(watchedEveryMs);
        await this.look(`${ms} ms after a copy of ${name} was started`, false);
      }
    } finally {
      await this.#stop(copy);
      rmSync(copy.dataDir, { recursive: true, force: true });
    }
    await this.#clock.advance(believedAgainMs);
    await this.#settle();
    await this.look(`after ${name} had a copy`, true);
  }

  async #copyOf(name: string): Promise<SimulatedPlane> {
    const cast = clusters.find((one) => one.name === name);
    const { plane } = cast === undefined ? await SimulatedGlobal.create(this.#surroundings) : await SimulatedCluster.create(cast, this.#surroundings);
    return plane;
  }

  /** One more write of what the plane owns. */
  async #writeAnything(name: string): Promise<void> {
    await this.apply(name === globalName ? { kind: "putPolicy", key: 0 } : { kind: "export", cluster: name, key: 0 });
  }

  /** What others have of anybody else must not be lost meanwhile, not even for a moment. */
  async #watch(name: string, isOrigin: (register: string) => boolean): Promise<void> {
    for (let ms = 0; ms < settleMs; ms += watchedEveryMs) {
      await this.#clock.advance(watchedEveryMs);
      this.#order.forget(name, isOrigin);
      await this.look(`${ms} ms after the decision about ${name}`, false);
    }
  }

  /** What the store holds counts from now on; but what was revoked stays so. */
  async #takeForTrue(name: string): Promise<void> {
    const shown = await this.#shown.at(name);
    for (const register of [...this.truth.registers]) {
      if (!isOwnOf(name, register)) continue;
      const version = shown?.get(register) ?? 0;
      // One that nobody was told of the outcome of was never revoked.
      if (register === relationshipRegister && this.truth.acknowledged(register) === 0 && !this.truth.allows(register, version)) this.violations.push(`a relationship that was revoked is back: version ${version}`);
      this.truth.decided(register, version);
    }
  }

  /** What is not as it should be where everything works, and had time. */
  async #faultsOfHealed(): Promise<readonly string[]> {
    const shown = new Map<string, Shown | undefined>();
    for (const name of planeNames) shown.set(name, await this.#shown.at(name));
    return planeNames.flatMap((name) => {
      const own = shown.get(name);
      if (own === undefined) return [`${name} does not serve`];
      const standing = this.#plane(name).served?.standing;
      const faults = standing?.state === "sound" ? [] : [`the store of ${name} is ${standing?.state ?? "away"}`];
      for (const register of this.truth.registers) {
        const version = own.get(register) ?? 0;
        if (isOwnOf(name, register)) {
          if (!this.truth.allows(register, version)) faults.push(`${name} has ${register} as ${version}; ${this.truth.acknowledged(register)} was acknowledged`);
          continue;
        }
        const expected = this.#shown.isMeantFor(name, register) ? (shown.get(originOf(register))?.get(register) ?? 0) : 0;
        if (version !== expected) faults.push(`${name} shows ${register} as ${version}, and not as ${expected}`);
      }
      return faults;
    });
  }

  #planes(): readonly SimulatedPlane[] {
    return [this.#global.plane, ...this.#clusters.map(({ plane }) => plane)];
  }

  #plane(name: string): SimulatedPlane {
    const plane = this.#planes().find((one) => one.name === name);
    if (plane === undefined) throw new Error(`there is no plane ${name}`);
    return plane;
  }

  #skew(name: string, ms: number): void {
    const clock = this.#clocks.get(name);
    if (clock !== undefined) clock.offsetMs = ms;
  }

  async #stop(plane: SimulatedPlane): Promise<void> {
    await settled(this.#clock, plane.stop());
  }
}
