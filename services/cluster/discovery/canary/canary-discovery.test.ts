import { EventEmitter } from "node:events";
import type { ServerDuplexStream } from "@grpc/grpc-js";
import { beforeEach, describe, expect, it } from "vitest";
import type { SpiffeId } from "#federation/model/names.ts";
import { apiVersion, type TrafficPolicy } from "#federation/model/resource.ts";
import type { Generation, ServiceView } from "#federation/model/snapshot.ts";
import { proxyReturnMs } from "#federation/model/proxy-return.ts";
import { OrderedMap } from "#federation/runtime/ordered-map.ts";
import { VirtualClock } from "#federation/runtime/virtual-clock.ts";
import { WatchedValue } from "#federation/runtime/watched.ts";
import { silentLogger } from "#federation/telemetry/logger.ts";
import { decodeService, resourceTypeUrls } from "#federation/wire/discovery-resources.ts";
import { decodeDeltaResponse, encodeDeltaResponse, type DeltaRequest, type DeltaResponse } from "#federation/wire/discovery-messages.ts";
import { presenceRequest } from "#federation/wire/discovery-presence.ts";
import { clusterState, endpoint, service } from "../../cluster-state-fixture.ts";
import type { ClusterState } from "../../cluster-state.ts";
import { DiscoveryService } from "../discovery-service.ts";
import { canaryState, fruitlessTrialsMax, type CanaryState } from "./canary-state.ts";
import { retryPauseMaxMs, retryPauseMinMs } from "./canary-retry.ts";
import { canaryLifeMs, canaryPatienceMs, lossesTogetherMs } from "./canary-trial.ts";

/** A trial that goes well, with what the plane waits for beyond it. */
const trialMs = canaryLifeMs + 10;
const identity = "spiffe://shop.example/ns/web/sa/storefront" as SpiffeId;
const key = "TrafficPolicy/web/slow";
const at = (revision: number): Generation => ({ epoch: 1, revision });
const policy = (requestMs: number): TrafficPolicy => ({ apiVersion, kind: "TrafficPolicy", metadata: { namespace: "web", name: "slow" }, spec: { targetRef: { namespace: "web", name: "storefront" }, timeouts: { requestMs } } });

/** A proxy on its stream, without a transport: it knows what it was told last, and of which time limits it wants nothing. */
class FakeProxy extends EventEmitter {
  readonly name: string;
  readonly toldMs: number[] = [];
  readonly endpointCounts: number[] = [];
  refusesMs = Infinity;
  refusesEndpoints = Infinity;
  namesRefused = false;
  isSilent = false;
  #unanswered: DeltaResponse | undefined;

  readonly process: string | undefined;

  /** Without a `process` it is one that does not say. */
  constructor(name: string, process?: string) {
    super();
    this.name = name;
    this.process = process;
  }

  connect(discovery: DiscoveryService): this {
    discovery.handler(() => ({ kind: "workload", identity }))(this as unknown as ServerDuplexStream<DeltaRequest, DeltaResponse>);
    this.emit("data", { node: { id: this.name, cluster: "", region: "", zone: "" }, ...presenceRequest("stays", this.process) });
    this.#say({});
    return this;
  }

  write(response: DeltaResponse): void {
    if (this.isSilent) {
      this.#unanswered = response;
      return;
    }
    const services = decodeDeltaResponse(encodeDeltaResponse(response)).resources.map(({ value }) => decodeService(value));
    const refused = services.filter((service) => service.policy.timeouts.requestMs >= this.refusesMs || endpointsOf(service) >= this.refusesEndpoints);
    const isRefused = refused.length > 0;
    for (const service of services) {
      this.toldMs.push(service.policy.timeouts.requestMs);
      this.endpointCounts.push(endpointsOf(service));
    }
    queueMicrotask(() => this.#say({ responseNonce: response.nonce, ...(isRefused ? { fault: { code: 3, message: "no such limit", resources: this.namesRefused ? refused.map(({ host }) => host) : [] } } : {}) }));
  }

  end(): void {}

  goOn(): void {
    this.isSilent = false;
    if (this.#unanswered !== undefined) this.write(this.#unanswered);
  }

  leave(): void {
    this.emit("data", presenceRequest("leaves"));
    this.cut();
  }

  cut(): void {
    this.emit("cancelled");
    this.emit("close");
    this.removeAllListeners();
  }

  #say(over: Partial<DeltaRequest>): void {
    this.emit("data", { typeUrl: resourceTypeUrls.service, subscribe: [], unsubscribe: [], initialVersions: {}, responseNonce: "", ...over });
  }
}

function endpointsOf({ places }: ServiceView): number {
  return places.flatMap((place) => (place.kind === "local" ? place.endpoints : [])).length;
}

describe("policies as discovery tells them", () => {
  let clock: VirtualClock;
  let state: WatchedValue<ClusterState>;
  let stop: AbortController;

  const stateOf = (requestMs: number, revision = requestMs, endpoints = 1): ClusterState =>
    clusterState({ policies: [policy(requestMs)], generations: new Map([[key, at(revision)]]), endpoints: Array.from({ length: endpoints }, (_, index) => endpoint(`storefront-${index}`, "web", "storefront")) });
  const serve = async (told?: CanaryState, hadProxies = false): Promise<DiscoveryService> => {
    const discovery = await DiscoveryService.open(state, { logger: silentLogger, clock, hadProxies, identityMs: 3_600_000, told, onNack: () => {} });
    void discovery.follow(stop.signal);
    return discovery;
  };
  const write = async (requestMs: number, revision = requestMs, endpoints = 1): Promise<void> => {
    state.set(stateOf(requestMs, revision, endpoints));
    await clock.advance(0);
  };

  beforeEach(() => {
    stop?.abort();
    stop = new AbortController();
    clock = new VirtualClock();
    state = new WatchedValue(stateOf(10));
  });

  it("go to one proxy first, and to the others once it has taken them and lives; a rollout says so meanwhile", async () => {
    const discovery = await serve();
    const [first, second] = [new FakeProxy("first").connect(discovery), new FakeProxy("second").connect(discovery)];
    await clock.advance(0);
    await write(20);
    expect([first.toldMs, second.toldMs]).toEqual([[10, 20], [10]]);
    expect(discovery.heldBy(key, at(20))).toMatchObject({ isHeld: false, heldBack: { state: "tried", proxies: ["first"] } });
    await clock.advance(trialMs);
    expect([first.toldMs, second.toldMs]).toEqual([[10, 20], [10, 20]]);
    const held = discovery.heldBy(key, at(20));
    expect([held.isHeld, held.heldBack, held.proxies.map(({ standing }) => standing.kind)]).toEqual([true, undefined, ["acknowledged", "acknowledged"]]);
  });

  it("that the first proxy refuses are never seen by the others: it is given the one before, and the next write is tried again", async () => {
    const discovery = await serve();
    const [first, second] = [new FakeProxy("first").connect(discovery), new FakeProxy("second").connect(discovery)];
    first.refusesMs = 1_000;
    await clock.advance(0);
    await write(1_000, 11);
    await clock.advance(10 * proxyReturnMs);
    expect([first.toldMs, second.toldMs]).toEqual([[10, 1_000, 10], [10]]);
    expect(discovery.policyTrials).toMatchObject([{ kind: "TrafficPolicy", id: "web/slow", generation: at(11), state: "stopped", proxies: ["first"], cause: "refused", reason: "no such limit" }]);
    expect(discovery.heldBy(key, at(11))).toMatchObject({ isHeld: false, heldBack: { state: "stopped" } });
    expect(discovery.heldBy(key, at(10)).isHeld).toBe(true);
    await write(30, 12);
    await clock.advance(trialMs);
    expect(discovery.policyTrials).toEqual([]);
    expect(second.toldMs).toEqual([10, 30]);
  });

  describe("when the first proxy refuses what comes with them of another service", () => {
    const both = (requestMs: number, catalogs: number): ClusterState =>
      clusterState({
        policies: [policy(requestMs)],
        generations: new Map([[key, at(requestMs)]]),
        services: new Map([["web/storefront", service("web", "storefront")], ["web/catalog", service("web", "catalog")]]),
        endpoints: [endpoint("storefront-0", "web", "storefront"), ...Array.from({ length: catalogs }, (_, index) => endpoint(`catalog-${index}`, "web", "catalog"))],
      });
    const tried = async (requestMs: number, namesRefused: boolean): Promise<{ readonly discovery: DiscoveryService; readonly first: FakeProxy; readonly second: FakeProxy }> => {
      state.set(both(10, 1));
      const discovery = await serve();
      const [before, second] = [new FakeProxy("first", "one life").connect(discovery), new FakeProxy("second").connect(discovery)];
      await clock.advance(0);
      state.set(both(requestMs, 1));
      await clock.advance(0);
      expect(before.toldMs.at(-1)).toBe(requestMs);
      // Its link breaks, and when it is back it is told both together.
      before.cut();
      state.set(both(requestMs, 3));
      await clock.advance(0);
      const first = new FakeProxy("first", "one life");
      Object.assign(first, { refusesEndpoints: 3, refusesMs: 1_000, namesRefused });
      first.connect(discovery);
      await clock.advance(trialMs);
      return { discovery, first, second };
    };

    it("are passed by one that names it, and takes the rest", async () => {
      const { discovery, first, second } = await tried(20, true);
      expect(discovery.policyTrials).toEqual([]);
      expect([first.toldMs.at(-1), second.toldMs.at(-1)]).toEqual([20, 20]);
      expect(discovery.proxies.map(({ nodeId, nacks }) => [nodeId, nacks])).toEqual([["second", 0], ["first", 1]]);
    });

    it("are stopped by one that names them as well", async () => {
      const { discovery, second } = await tried(1_000, true);
      expect(discovery.policyTrials).toMatchObject([{ id: "web/slow", state: "stopped", proxies: ["first"], cause: "refused" }]);
      expect(second.toldMs).not.toContain(1_000);
    });

    it("are stopped by one that names nothing, as of a version before", async () => {
      const { discovery, second } = await tried(20, false);
      expect(discovery.policyTrials).toMatchObject([{ id: "web/slow", state: "stopped", proxies: ["first"], cause: "refused" }]);
      expect(second.toldMs).not.toContain(20);
    });
  });

  it("are not passed by a plane that stood still itself: what came of the first proxy meanwhile is read before", async () => {
    const discovery = await serve();
    const [first, second] = [new FakeProxy("first").connect(discovery), new FakeProxy("second").connect(discovery)];
    await clock.advance(0);
    await write(1_000, 11);
    // The time of the trial is over, and then the end of the stream is read.
    await clock.advance(canaryLifeMs);
    first.cut();
    await clock.advance(proxyReturnMs + trialMs);
    expect(second.toldMs).toEqual([10]);
    expect(discovery.policyTrials).toMatchObject([{ state: "stopped", cause: "left", triedAgain: true }]);
  });

  it("reach the only proxy of a cluster after its link was away, and a process that lives through many breaks", async () => {
    const discovery = await serve();
    const first = new FakeProxy("first", "one life").connect(discovery);
    await clock.advance(0);
    first.isSilent = true;
    await write(20);
    first.cut();
    await clock.advance(3 * proxyReturnMs);
    expect(discovery.policyTrials).toMatchObject([{ state: "stopped", cause: "left", triedAgain: true }]);
    const back = new FakeProxy("first", "one life").connect(discovery);
    await clock.advance(1_000 + trialMs);
    expect([back.toldMs.at(-1), discovery.policyTrials]).toEqual([20, []]);
    back.isSilent = true;
    await write(30);
    back.cut();
    const again = new FakeProxy("first", "one life");
    again.isSilent = true;
    again.connect(discovery).cut();
    const last = new FakeProxy("first", "one life").connect(discovery);
    await clock.advance(lossesTogetherMs + trialMs);
    expect([last.toldMs.at(-1), discovery.policyTrials]).toEqual([30, []]);
  });

  it("that end the first proxy's process twice are stopped, whether or not it says which it is", async () => {
    for (const [revision, processOf] of [[11, (life: number) => `life ${life}`], [12, () => undefined]] as const) {
      const discovery = await serve();
      const first = new FakeProxy("first", processOf(1)).connect(discovery);
      const second = new FakeProxy("second", "other").connect(discovery);
      await clock.advance(0);
      await write(1_000, revision);
      first.cut();
      new FakeProxy("first", processOf(2)).connect(discovery).cut();
      const third = new FakeProxy("first", processOf(3)).connect(discovery);
      await clock.advance(lossesTogetherMs + trialMs);
      expect(discovery.policyTrials).toMatchObject([{ state: "stopped", cause: "ended" }]);
      expect([third.toldMs, second.toldMs]).toEqual([[10], [10]]);
      stop.abort();
      stop = new AbortController();
      state.set(stateOf(10));
    }
  });

  it("that end the first proxy are held back when it does not come back; endpoints go to all at once all the while", async () => {
    const discovery = await serve();
    const [first, second] = [new FakeProxy("first").connect(discovery), new FakeProxy("second").connect(discovery)];
    await clock.advance(0);
    await write(1_000, 11);
    first.cut();
    await write(1_000, 11, 2);
    expect(second.endpointCounts).toEqual([1, 2]);
    await clock.advance(proxyReturnMs + trialMs);
    expect(second.toldMs).toEqual([10, 10]);
    expect(discovery.policyTrials).toMatchObject([{ state: "stopped", cause: "left", proxies: ["first"] }]);
    const back = new FakeProxy("first").connect(discovery);
    await clock.advance(0);
    expect(back.toldMs).toEqual([10]);
  });

  it("are not lost on the way to a canary that comes back on another stream before its old one has ended", async () => {
    const discovery = await serve();
    const [first, second] = [new FakeProxy("first").connect(discovery), new FakeProxy("second").connect(discovery)];
    first.isSilent = true;
    await clock.advance(0);
    first.isSilent = false;
    await write(20);
    const again = new FakeProxy("first").connect(discovery);
    first.cut();
    await clock.advance(trialMs);
    expect([again.toldMs.at(-1), second.toldMs.at(-1)]).toEqual([20, 20]);
  });

  it("wait for the first proxy that comes back to a plane that has started again, and those that were stopped stay so", async () => {
    const before = await serve();
    const first = new FakeProxy("first").connect(before);
    first.refusesMs = 1_000;
    await clock.advance(0);
    await write(1_000, 11);
    const { settled, stopped } = before.canary.current;
    stop.abort();
    stop = new AbortController();
    const after = await serve(canaryState(settled, stopped), true);
    const back = new FakeProxy("first").connect(after);
    await clock.advance(2 * proxyReturnMs);
    expect(back.toldMs).toEqual([10]);
    expect(after.policyTrials).toMatchObject([{ state: "stopped", reason: "no such limit" }]);
    stop.abort();
    stop = new AbortController();
    // Written while nobody served.
    state.set(stateOf(40, 12));
    const third = await serve(canaryState(settled, stopped), true);
    await clock.advance(1);
    const [one, other] = [new FakeProxy("one").connect(third), new FakeProxy("other").connect(third)];
    await clock.advance(0);
    expect([one.toldMs, other.toldMs]).toEqual([[10, 40], [10]]);
    await clock.advance(trialMs);
    expect(other.toldMs).toEqual([10, 40]);
  });

  it("are held back when all who are told first leave, however many, and tried again by whoever is there", async () => {
    const discovery = await serve();
    const crowd = Array.from({ length: fruitlessTrialsMax + 1 }, (_, at) => new FakeProxy(`crowd-${at}`).connect(discovery));
    await clock.advance(0);
    for (const proxy of crowd) proxy.isSilent = true;
    await write(20);
    for (const proxy of crowd.slice(0, fruitlessTrialsMax)) proxy.leave();
    expect(discovery.policyTrials).toMatchObject([{ state: "stopped", cause: "left", triedAgain: true }]);
    const [one, other] = [new FakeProxy("one").connect(discovery), new FakeProxy("other").connect(discovery)];
    crowd.at(-1)?.leave();
    await clock.advance(retryPauseMinMs + trialMs);
    expect([one.toldMs, other.toldMs]).toEqual([[10, 20], [10, 20]]);
    expect(discovery.policyTrials).toEqual([]);
  });

  it("by which proxies stand still are tried again by these alone, and by the first of them that answers", async () => {
    const discovery = await serve();
    const still = ["a", "b", "c"].map((name) => new FakeProxy(name).connect(discovery));
    await clock.advance(0);
    for (const proxy of still) proxy.isSilent = true;
    await write(20);
    await clock.advance(fruitlessTrialsMax * (canaryPatienceMs + trialMs));
    expect(discovery.policyTrials).toMatchObject([{ state: "stopped", cause: "silent", triedAgain: true }]);
    const fourth = new FakeProxy("fourth").connect(discovery);
    await clock.advance(10 * retryPauseMaxMs);
    expect(fourth.toldMs).toEqual([10]);
    still[1]?.goOn();
    await clock.advance(trialMs);
    expect([fourth.toldMs, discovery.policyTrials]).toEqual([[10, 20], []]);
  });

  it("that a plane before has held back are tried again at once by one that starts", async () => {
    const form = { policy: policy(20), generation: at(20) };
    const settled = (await serve()).canary.current.settled;
    stop.abort();
    stop = new AbortController();
    state.set(stateOf(20));
    const stopped = OrderedMap.of([["web/storefront/shop.example", { form, proxy: "gone", cause: "silent", reason: "it has not answered for 20 s", atMs: 5 } as const]]);
    const after = await serve(canaryState(settled, stopped), true);
    await clock.advance(0);
    expect(after.policyTrials).toMatchObject([{ state: "stopped", cause: "silent", triedAgain: true, stoppedAtMs: 5 }]);
    const [one, other] = [new FakeProxy("one").connect(after), new FakeProxy("other").connect(after)];
    await clock.advance(trialMs);
    expect([one.toldMs, other.toldMs]).toEqual([[10, 20], [10, 20]]);
    expect(after.canary.current.stopped.size).toBe(0);
  });

  it("are not laid to what cuts a canary off together with others, though it comes back late or not at all, and are when it is alone", async () => {
    const discovery = await serve();
    const names = ["a", "b", "c", "d"];
    const all = names.map((name) => new FakeProxy(name).connect(discovery));
    await clock.advance(1_000);
    await write(20);
    for (const proxy of all) {
      proxy.cut();
      await clock.advance(lossesTogetherMs / 10);
    }
    const back = names.slice(1).map((name) => new FakeProxy(name).connect(discovery));
    await clock.advance(canaryPatienceMs + trialMs);
    await clock.advance(trialMs);
    expect(discovery.policyTrials).toEqual([]);
    expect(back.map(({ toldMs }) => toldMs.at(-1))).toEqual([20, 20, 20]);
    await clock.advance(2 * canaryPatienceMs);
    await write(30);
    back[0]?.cut();
    await clock.advance(canaryPatienceMs + trialMs);
    expect(discovery.policyTrials).toMatchObject([{ state: "stopped", cause: "left", proxies: ["b"] }]);
    expect(discovery.canary.current.losses.size).toBe(1);
  });

  it("are stopped by a second end of a canary's stream, which is not told of them a third time", async () => {
    const discovery = await serve();
    const first = new FakeProxy("first").connect(discovery);
    new FakeProxy("second").connect(discovery);
    await clock.advance(1_000);
    await write(20);
    first.cut();
    const again = new FakeProxy("first").connect(discovery);
    await clock.advance(0);
    again.cut();
    const third = new FakeProxy("first").connect(discovery);
    await clock.advance(lossesTogetherMs + trialMs);
    expect([again.toldMs, third.toldMs]).toEqual([[20], [10]]);
    expect(discovery.policyTrials).toMatchObject([{ state: "stopped", cause: "ended" }]);
  });

  it("wait when all proxies are away at one time, for as long as those would come back", async () => {
    const discovery = await serve();
    const [first, second] = [new FakeProxy("first").connect(discovery), new FakeProxy("second").connect(discovery)];
    await clock.advance(0);
    first.cut();
    second.cut();
    await write(20);
    expect(discovery.policyTrials).toMatchObject([{ state: "waiting", proxies: [] }]);
    const [one, other] = [new FakeProxy("first").connect(discovery), new FakeProxy("second").connect(discovery)];
    await clock.advance(0);
    expect([one.toldMs, other.toldMs]).toEqual([[10, 20], [10]]);
  });

  it("do not go to all unseen when the last proxy goes away while they wait", async () => {
    const discovery = await serve();
    const only = new FakeProxy("only").connect(discovery);
    await clock.advance(0);
    only.isSilent = true;
    // Something that it does not answer, so that it cannot try anything.
    await write(10, 10, 2);
    await write(20, 20, 2);
    expect(discovery.policyTrials).toMatchObject([{ state: "waiting" }]);
    only.cut();
    expect(discovery.policyTrials).toMatchObject([{ state: "waiting" }]);
    const [one, other] = [new FakeProxy("only").connect(discovery), new FakeProxy("other").connect(discovery)];
    await clock.advance(0);
    expect([one.toldMs, other.toldMs]).toEqual([[10, 20], [10]]);
  });

  it("go to the only proxy there is, and to all at once where there is none", async () => {
    const discovery = await serve();
    await clock.advance(0);
    await write(20);
    expect(discovery.policyTrials).toEqual([]);
    const only = new FakeProxy("only").connect(discovery);
    await clock.advance(0);
    await write(30);
    expect(only.toldMs).toEqual([20, 30]);
  });
});
