import { rmSync } from "node:fs";
import { MemoryHub } from "#federation/bus/memory-bus.ts";
import type { Catalog } from "#federation/catalog/catalog.ts";
import { authorityPinOf } from "#federation/identity/authority-pin.ts";
import { apiVersion, type Relationship } from "#federation/model/resource.ts";
import { createSeededRandom } from "#federation/runtime/random.ts";
import { VirtualClock } from "#federation/runtime/virtual-clock.ts";
import { copyOfNothing, type StoreCopy } from "#federation/store/exchanged-store-fixture.ts";
import { approvalContent } from "#services/cluster/exports/trust-domain-content.ts";
import { approvalKind } from "#services/cluster/trust/own-approvals.ts";
import { recordedDeletions } from "#services/global/store/recorded-deletions.ts";
import { clusterResource, clusters, globalName, namespace, pay, planeNames, regionResource, shop } from "./cast.ts";
import { credentials } from "./credentials.ts";
import { Judge } from "./judge.ts";
import type { Operation } from "./operations.ts";
import { SimulatedCluster, SimulatedGlobal, type Surroundings } from "./planes.ts";
import type { SimulatedPlane } from "./simulated-plane.ts";
import { SimulatedPlanes } from "./simulated-planes.ts";
import { exportRegister, policyName, policyRegister, relationshipRegister, serviceName, versionBase, validUntilOf } from "./registers.ts";
import { settled } from "./settled.ts";
import { trustDomainOf } from "./shown-registers.ts";
import { SkewedClock } from "./skewed-clock.ts";
import { troubledBus } from "./troubled-bus.ts";

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
  readonly judge: Judge;
  readonly #clock: VirtualClock;
  readonly #clocks: ReadonlyMap<string, SkewedClock>;
  readonly #planes: SimulatedPlanes;
  readonly #copies = new Map<string, StoreCopy>();
  readonly #surroundings: Surroundings;

  private constructor(surroundings: Surroundings, planes: SimulatedPlanes, { clock, clocks }: { readonly clock: VirtualClock; readonly clocks: ReadonlyMap<string, SkewedClock> }) {
    this.#surroundings = surroundings;
    this.#planes = planes;
    this.judge = new Judge(planes, clock);
    this.#clock = clock;
    this.#clocks = clocks;
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
    const federation = new SimulatedFederation(surroundings, new SimulatedPlanes(global, members), { clock, clocks });
    await federation.#begin();
    return federation;
  }

  async apply(operation: Operation): Promise<void> {
    switch (operation.kind) {
      case "putPolicy":
        return await this.#write(globalName, policyRegister(operation.key), this.judge.truth.next(), async (catalog, version) => {
          await catalog.resources("TrafficPolicy").apply({ apiVersion, kind: "TrafficPolicy", metadata: { namespace, name: policyName(operation.key) }, spec: { targetRef: { namespace, name: policyName(operation.key) }, timeouts: { requestMs: versionBase + version } } }, {}, never);
        });
      case "deletePolicy":
        return await this.#delete("TrafficPolicy", `${namespace}/${policyName(operation.key)}`, policyRegister(operation.key));
      case "export":
        return await this.#write(operation.cluster, exportRegister(operation.cluster, operation.key), this.judge.truth.next(), async (catalog, version) => {
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
        return await this.#delete("Relationship", relationshipName, relationshipRegister);
      case "restart": {
        const plane = this.#planes.of(operation.plane);
        await this.#stop(plane);
        plane.start();
        return await this.#clock.advance(1_000);
      }
      case "cut":
      case "join":
        return this.#planes.of(operation.plane).setConnected(operation.kind === "join");
      case "skew":
        this.#skew(operation.plane, operation.ms);
        return;
      case "lossy":
        this.#surroundings.hub.faults = troubledBus(this.#surroundings.random);
        return;
      case "faultless":
        this.#surroundings.hub.faults = () => [0];
        return;
      case "rollBack":
        return await this.#rollBack(operation, this.#copies.get(operation.plane));
      case "wipe":
        return await this.#rollBack({ plane: operation.plane, decision: "take-newer", around: "nothing" }, copyOfNothing);
      case "trouble":
        this.#planes.of(operation.plane).trouble = operation.trouble;
        return;
      case "untroubled":
        this.#planes.of(operation.plane).trouble = undefined;
        return;
      case "clone":
        return await this.#clone(operation.plane);
      case "wait":
        return await this.#clock.advance(operation.ms);
    }
  }

  /** Keeps what each store holds now, for a later rollback. */
  async copyStores(): Promise<void> {
    for (const name of planeNames) this.#copies.set(name, await this.#planes.of(name).copyStore());
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
      if (this.#areLinksWhole(sinceMs) && (await this.judge.faultsOfHealed()).length === 0) return;
    }
  }

  #areLinksWhole(sinceMs: number): boolean {
    const links = [this.#planes.global.statuses, ...this.#planes.clusters.map(({ statuses }) => statuses)].flatMap((statuses) => [...(statuses ?? [])]);
    return links.length === 2 * clusters.length && links.every(([, { isBehind, doubled, wholeAtMonotonicMs = -1 }]) => !isBehind && doubled === undefined && wholeAtMonotonicMs >= sinceMs);
  }

  #repair(): void {
    this.#surroundings.hub.faults = () => [0];
    for (const name of planeNames) {
      this.#skew(name, 0);
      this.#planes.of(name).trouble = undefined;
      this.#planes.of(name).setConnected(true);
      this.#planes.of(name).start();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const plane of this.#planes.all) {
      await this.#stop(plane);
      rmSync(plane.dataDir, { recursive: true, force: true });
    }
  }

  async #begin(): Promise<void> {
    for (const plane of this.#planes.all) plane.start();
    await this.#clock.advance(1_000);
    const catalog = this.#planes.global.plane.served?.catalog;
    if (catalog === undefined) throw new Error("the global plane does not begin");
    await catalog.resources("Region").apply(regionResource, {}, never);
    for (const [trustDomain, signer] of this.#surroundings.credentials.signers) await catalog.resources("TrustDomain").apply({ apiVersion, kind: "TrustDomain", metadata: { name: trustDomain }, spec: signer.statement() }, {}, never);
    for (const cast of clusters) await catalog.resources("Cluster").apply(clusterResource(cast), {}, never);
    await this.#clock.advance(beginMs);
    await this.copyStores();
  }

  async #write(plane: string, register: string, version: number, write: (catalog: Catalog, version: number) => Promise<void>): Promise<void> {
    const served = this.#planes.of(plane).served;
    if (served?.termStore.life.isSound !== true) return;
    this.judge.truth.begin(register, version);
    try {
      await settled(this.#clock, write(served.catalog, version));
    } catch {
      // Not acknowledged: it may be there or not.
      return;
    }
    this.judge.truth.acknowledge(register, version);
  }

  /** As the admin API of the global plane does it. */
  async #delete(kind: "TrafficPolicy" | "Relationship", id: string, register: string): Promise<void> {
    await this.#write(globalName, register, 0, async (catalog) => void (await recordedDeletions(kind, catalog, this.#surroundings.clockOf(globalName)).remove(id, {}, never)));
  }

  async #relate(): Promise<void> {
    const version = this.judge.truth.next();
    const pin = (trustDomain: typeof shop): string => authorityPinOf(this.#surroundings.credentials.signers.get(trustDomain)?.authorityCertificatePem ?? "");
    const relationship: Relationship = {
      apiVersion,
      kind: "Relationship",
      metadata: { name: relationshipName },
      spec: { caller: { trustDomain: pay, authoritySha256: pin(pay), principals: ["*"] }, callee: { trustDomain: shop, authoritySha256: pin(shop), services: [`${namespace}/${serviceName(0)}`] }, validUntil: validUntilOf(version) },
    };
    await this.#write(globalName, relationshipRegister, version, async (catalog) => void (await catalog.resources("Relationship").apply(relationship, {}, never)));
    await this.#clock.advance(2_000);
    for (const { cast, serving } of this.#planes.clusters) {
      const signer = cast.isSigner ? this.#surroundings.credentials.signers.get(cast.trustDomain) : undefined;
      const known = serving?.replicated.state.current.relationships.get(relationshipName);
      if (signer === undefined || known === undefined || serving?.termStore.life.isSound !== true) continue;
      const approval = signer.approve(known, cast.trustDomain === pay ? "caller" : "callee", this.#clocks.get(cast.name)?.nowMs() ?? 0);
      await settled(this.#clock, serving.own.put(approvalKind, relationshipName, approvalContent(known, approval), never)).catch(() => undefined);
    }
  }

  /** With everything well, an operator's store goes back; that has to be noticed where something is lost, and what is decided has to come true. */
  async #rollBack({ plane: name, decision, around }: Omit<Extract<Operation, { kind: "rollBack" }>, "kind">, copy: StoreCopy | undefined): Promise<void> {
    const plane = this.#planes.of(name);
    if (copy === undefined) return;
    await this.#settle();
    await this.judge.look(`before ${name} goes back`, true);
    const before = await this.judge.shownAt(name);
    this.judge.forgetOrderOf(name);
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
      this.judge.violations.push(`${name} does not serve after its store went back`);
      return;
    }
    if (plane.served.standing.state === "sound") {
      await this.judge.lookAtUnnoticed(name, before);
      return;
    }
    try {
      await settled(this.#clock, plane.decide(decision, this.#planes.hearersOf(name)));
    } catch (error) {
      this.judge.violations.push(`a decision about the store of ${name} failed: ${String(error)}`);
      return;
    }
    await this.#watch(name);
    if (decision === "keep") await this.judge.takeForTrue(name);
    await this.#settle();
    this.judge.forgetOrderOf(name);
    await this.judge.look(`after ${name} went back (${decision})`, true);
  }

  /** Somebody starts a copy of a plane's disk and store beside it, and ends it: who has been told something must not see it go, and afterwards all is as the plane itself has it. */
  async #clone(name: string): Promise<void> {
    await this.#settle();
    await this.judge.look(`before ${name} has a copy`, true);
    const plane = this.#planes.of(name);
    const copy = await this.#copyOf(name);
    try {
      await settled(this.#clock, copy.takeAfter(plane));
      await this.#writeAnything(name);
      copy.start();
      for (let ms = 0; ms < clonedMs; ms += watchedEveryMs) {
        if (ms % writtenEveryMs === 0) await this.#writeAnything(name);
        await this.#clock.advance(watchedEveryMs);
        await this.judge.look(`${ms} ms after a copy of ${name} was started`, false);
      }
    } finally {
      await this.#stop(copy);
      rmSync(copy.dataDir, { recursive: true, force: true });
    }
    await this.#clock.advance(believedAgainMs);
    await this.#settle();
    await this.judge.look(`after ${name} had a copy`, true);
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
  async #watch(name: string): Promise<void> {
    for (let ms = 0; ms < settleMs; ms += watchedEveryMs) {
      await this.#clock.advance(watchedEveryMs);
      this.judge.forgetOrderOf(name);
      await this.judge.look(`${ms} ms after the decision about ${name}`, false);
    }
  }

  #skew(name: string, ms: number): void {
    const clock = this.#clocks.get(name);
    if (clock !== undefined) clock.offsetMs = ms;
  }

  async #stop(plane: SimulatedPlane): Promise<void> {
    await settled(this.#clock, plane.stop());
  }
}
