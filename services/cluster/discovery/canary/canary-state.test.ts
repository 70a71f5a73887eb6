import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { apiVersion, type TrafficPolicy } from "#federation/model/resource.ts";
import { OrderedMap } from "#federation/runtime/ordered-map.ts";
import { advance, afterEvent, canaryState, dueMs, fruitlessTrialsMax, lossesMax, triedForms, untriedKeys, withWanted, type CanaryState, type PolicyForms } from "./canary-state.ts";
import { retryPauseMaxMs, retryPauseMinMs } from "./canary-retry.ts";
import { canariesMax, canaryLifeMs, canaryPatienceMs, linkBreaksMax, lossesTogetherMs, type TrialEvent, type CanaryCandidate, type EndsInQuestion, type OtherStreams, type PolicyForm } from "./canary-trial.ts";

const policy = (name: string, requestMs: number): TrafficPolicy => ({
  apiVersion,
  kind: "TrafficPolicy",
  metadata: { namespace: "web", name },
  spec: { targetRef: { namespace: "web", name }, timeouts: { requestMs } },
});
const form = (name: string, requestMs: number, revision = requestMs): PolicyForm => ({ policy: policy(name, requestMs), generation: { epoch: 1, revision } });
const forms = (of: Readonly<Record<string, PolicyForm>>): PolicyForms => OrderedMap.of(Object.entries(of));

/** A plane with proxies, and what each of them is told. */
class Bench {
  nowMs = 0;
  state: CanaryState;
  readonly proxies: CanaryCandidate[] = [];
  /** Connected, and owing an answer. */
  readonly still = new Set<string>();
  /** Lost without a leave. */
  readonly lost = new Set<string>();
  /** The last beginning and end of each proxy's stream. */
  readonly beganMs = new Map<string, number>();
  readonly endedMs = new Map<string, number>();
  /** Those that come back, by whoever is there at all. */
  isUnsettled = false;

  constructor(told: PolicyForms, proxies: number) {
    this.state = canaryState(told, OrderedMap.of());
    for (let at = 0; at < proxies; at++) this.join(`p${at}`);
    this.nowMs = 1_000;
  }

  /** Without a `process` it does not say which one it is. */
  join(key: string, process?: string): void {
    if (!this.proxies.some((proxy) => proxy.key === key)) {
      this.proxies.push({ key, name: key, identity: `workload ${key}`, process });
      this.beganMs.set(key, this.nowMs);
      this.lost.delete(key);
    }
    this.state = afterEvent(this.state, { kind: "returned", proxy: key, nowMs: this.nowMs, process });
    this.look();
  }

  /** A link of one that breaks, and is whole again after `ms`. */
  breakLink(key: string, ms: number): void {
    const proxy = this.proxies.find((one) => one.key === key);
    if (proxy === undefined) return;
    this.lose(key);
    this.wait(ms);
    this.join(key, proxy.process);
  }

  lose(key: string, kind: "ended" | "left" = "ended"): void {
    if (this.proxies.some((proxy) => proxy.key === key)) this.endedMs.set(key, this.nowMs);
    this.proxies.splice(0, this.proxies.length, ...this.proxies.filter((proxy) => proxy.key !== key));
    this.still.delete(key);
    if (kind === "ended") this.lost.add(key);
    else this.lost.delete(key);
    this.hear(kind, key);
  }

  /** All of them, one after the other. */
  loseAll(): void {
    for (const { key } of [...this.proxies]) this.lose(key);
  }

  hear(kind: TrialEvent["kind"], proxy: string, reason = "no"): void {
    this.state = afterEvent(this.state, { kind, proxy, nowMs: this.nowMs, reason });
    this.look();
  }

  write(wanted: PolicyForms): void {
    this.state = withWanted(this.state, wanted);
    this.look();
  }

  wait(ms: number): void {
    const endMs = this.nowMs + ms;
    for (let atMs = dueMs(this.state, this.nowMs); atMs !== undefined && atMs <= endMs; atMs = dueMs(this.state, this.nowMs)) {
      this.nowMs = atMs;
      this.look();
    }
    this.nowMs = endMs;
    this.look();
  }

  look(): void {
    const { nowMs } = this;
    this.state = advance(this.state, {
      candidates: () => this.proxies.filter(({ key }) => !this.still.has(key)),
      hasProxies: this.proxies.length > 0 || this.isUnsettled,
      isDeserted: this.proxies.length === 0 && !this.isUnsettled && this.lost.size === 0,
      isAwaited: (key) => this.proxies.some((proxy) => proxy.key === key) || nowMs - (this.endedMs.get(key) ?? -Infinity) < canaryPatienceMs,
      others: (canaries, ends) => this.others(canaries, ends),
      nowMs,
      wallMs: nowMs,
    });
  }

  others(canaries: ReadonlyMap<string, unknown>, { fromMs, lastMs }: EndsInQuestion): OtherStreams {
    const ended = [...this.endedMs].filter(([key, atMs]) => atMs >= fromMs && !canaries.has(key)).map(([key]) => key);
    const there = this.proxies.filter(({ key }) => (this.beganMs.get(key) ?? 0) < lastMs && !ended.includes(key) && !canaries.has(key));
    return { ended: ended.length, count: ended.length + there.length };
  }

  get canaries(): readonly string[] {
    return [...(this.state.trial?.canaries.keys() ?? [])];
  }

  /** What a proxy is told of a service's policy, in ms of its time limit. */
  told(proxy: string, target = "a"): number | undefined {
    const of = this.canaries.includes(proxy) ? triedForms(this.state) : this.state.settled;
    return of.get(target)?.policy.spec.timeouts?.requestMs;
  }
}

describe("a policy that is tried first", () => {
  const first = forms({ a: form("a", 1) });

  it("goes to one of a few proxies, and after its answer and a little life to all", () => {
    const bench = new Bench(first, 5);
    bench.write(first.with("a", form("a", 2)));
    expect(bench.canaries).toEqual(["p0"]);
    expect([bench.told("p0"), bench.told("p1")]).toEqual([2, 1]);
    bench.hear("took", "p0");
    bench.wait(canaryLifeMs - 1);
    expect(bench.told("p1")).toBe(1);
    bench.wait(1);
    expect(bench.told("p1")).toBe(2);
    expect(bench.state.unsettled.size).toBe(0);
  });

  it("goes to three of many at most, of different workloads", () => {
    const bench = new Bench(first, 0);
    for (let at = 0; at < 100; at++) bench.proxies.push({ key: `p${at}`, name: `p${at}`, identity: `workload ${at < 50 ? 0 : at}` });
    bench.write(first.with("a", form("a", 2)));
    expect(bench.canaries).toEqual(["p0", "p50", "p51"]);
    expect(bench.canaries.length).toBe(canariesMax);
  });

  it("is stopped by a refusal: the canary is given back the one before, and the others never see it", () => {
    const bench = new Bench(first, 5);
    bench.write(first.with("a", form("a", 2)));
    bench.hear("refused", "p0", "no such field");
    expect(bench.canaries).toEqual([]);
    expect([bench.told("p0"), bench.told("p1")]).toEqual([1, 1]);
    expect([...bench.state.stopped.values()]).toMatchObject([{ proxy: "p0", reason: "no such field", form: { generation: { revision: 2 } } }]);
    bench.wait(10 * canaryPatienceMs);
    expect(bench.told("p1")).toBe(1);
  });

  it("is tried again once it is written again, also as it was", () => {
    const bench = new Bench(first, 5);
    bench.write(first.with("a", form("a", 2)));
    bench.hear("refused", "p0");
    bench.write(first.with("a", form("a", 2, 3)));
    expect(bench.state.stopped.size).toBe(0);
    bench.hear("took", "p0");
    bench.wait(canaryLifeMs);
    expect(bench.told("p1")).toBe(2);
  });

  it("is held back when the canary's stream ends and it does not come back in time, and tried with another", () => {
    const bench = new Bench(first, 5);
    bench.write(first.with("a", form("a", 2)));
    bench.hear("took", "p0");
    bench.lose("p0");
    bench.wait(canaryPatienceMs - 1);
    expect(bench.state.trial).toBeDefined();
    bench.wait(1);
    expect([...bench.state.stopped.values()]).toMatchObject([{ proxy: "p0", cause: "left", reason: "its stream ended after it was told of it, and it did not come back within 20 s" }]);
    expect(bench.told("p1")).toBe(1);
    bench.wait(retryPauseMinMs);
    expect(bench.canaries).toEqual(["p1"]);
    bench.hear("took", "p1");
    bench.wait(canaryLifeMs);
    expect([bench.told("p2"), bench.state.stopped.size, bench.state.losses.size]).toEqual([2, 0, 0]);
  });

  it("is not stopped by the only proxy's link, however long it is away, when the same process comes back", () => {
    const bench = new Bench(first, 0);
    bench.isUnsettled = true;
    bench.join("p0", "one life");
    bench.write(first.with("a", form("a", 2)));
    for (let times = 0; times < 2 * lossesMax; times++) {
      bench.breakLink("p0", 2 * canaryPatienceMs);
      for (let waitedMs = 0; bench.canaries.length === 0 && waitedMs < retryPauseMaxMs; waitedMs += 1_000) bench.wait(1_000);
      expect([bench.canaries, [...bench.state.stopped.values()].map(({ cause }) => cause)]).toEqual([["p0"], ["left"]]);
    }
    bench.hear("took", "p0");
    bench.wait(canaryLifeMs);
    expect(bench.state.unsettled.size).toBe(0);
  });

  it("is not stopped by a link that breaks and breaks under the same process, which counts as left in the end", () => {
    const bench = new Bench(first, 0);
    for (const key of ["p0", "p1", "p2"]) bench.join(key, `process of ${key}`);
    bench.write(first.with("a", form("a", 2)));
    for (let times = 0; times < linkBreaksMax; times++) bench.breakLink("p0", 1);
    expect([bench.canaries, bench.state.stopped.size]).toEqual([["p0"], 0]);
    bench.breakLink("p0", 1);
    expect([bench.canaries, bench.state.stopped.size]).toEqual([["p1"], 0]);
  });

  it("is stopped by a process that ends twice, however its link breaks between, and not by one that is replaced once", () => {
    const bad = new Bench(first, 0);
    for (const key of ["p0", "p1", "p2"]) bad.join(key, `first of ${key}`);
    bad.write(first.with("a", form("a", 2)));
    bad.lose("p0");
    bad.join("p0", "second");
    bad.breakLink("p0", 1);
    expect(bad.canaries).toEqual(["p0"]);
    bad.lose("p0");
    bad.join("p0", "third");
    expect([...(bad.state.trial?.canaries.values() ?? [])]).toMatchObject([{ state: "ended" }]);
    bad.wait(lossesTogetherMs);
    expect([...bad.state.stopped.values()]).toMatchObject([{ proxy: "p0", cause: "ended" }]);
    const good = new Bench(first, 0);
    for (const key of ["p0", "p1", "p2"]) good.join(key, `first of ${key}`);
    good.write(first.with("a", form("a", 2)));
    good.lose("p0");
    good.join("p0", "second");
    good.hear("took", "p0");
    good.wait(canaryLifeMs);
    expect(good.told("p1")).toBe(2);
  });

  it("that ends whoever is told of it is stopped for good after three trials, though none of them ever comes back", () => {
    const bench = new Bench(first, 100);
    bench.write(first.with("a", form("a", 2)));
    const told = new Set<string>();
    for (let seconds = 0; seconds < 600; seconds++) {
      for (const key of bench.canaries) {
        if (!told.has(key)) bench.lose(key);
        told.add(key);
      }
      bench.wait(1_000);
    }
    expect(told.size).toBe(lossesMax * canariesMax);
    expect([...bench.state.stopped.values()]).toMatchObject([{ cause: "away" }]);
    expect(bench.told("p99")).toBe(1);
  });

  it("for which the only proxy was lost is not told to all when no proxy is on the roll any more", () => {
    const bench = new Bench(first, 1);
    bench.write(first.with("a", form("a", 2)));
    bench.lose("p0");
    bench.wait(canaryPatienceMs);
    bench.lost.clear();
    bench.wait(retryPauseMaxMs);
    expect(bench.told("new")).toBe(1);
    bench.join("new");
    bench.join("other");
    expect([bench.canaries, bench.told("other")]).toEqual([["new"], 1]);
  });

  it("outlives one end of the canary's stream, as a link may break, and not a second one", () => {
    const good = new Bench(first, 5);
    good.write(first.with("a", form("a", 2)));
    good.lose("p0");
    good.join("p0");
    good.hear("took", "p0");
    good.wait(canaryLifeMs);
    expect(good.told("p1")).toBe(2);
    const bad = new Bench(first, 5);
    bad.write(first.with("a", form("a", 2)));
    bad.lose("p0");
    bad.join("p0");
    bad.hear("took", "p0");
    bad.lose("p0");
    bad.wait(lossesTogetherMs);
    expect([...bad.state.stopped.values()]).toMatchObject([{ proxy: "p0", reason: "its stream ended twice after it was told of it" }]);
  });

  it("is tried with another when the canary takes its leave, or stands still, and is held back when nobody ever says anything", () => {
    const bench = new Bench(first, 5);
    bench.write(first.with("a", form("a", 2)));
    bench.lose("p0", "left");
    expect(bench.canaries).toEqual(["p1"]);
    bench.still.add("p1");
    bench.wait(canaryPatienceMs);
    expect(bench.canaries).toEqual(["p2"]);
    bench.wait(canaryPatienceMs);
    expect(fruitlessTrialsMax).toBe(3);
    expect([...bench.state.stopped.values()]).toMatchObject([{ proxy: "p2", cause: "silent", reason: "it has not answered for 20 s" }]);
    expect(bench.canaries).toEqual([]);
  });

  it("that was held back is tried again after pauses that grow to a minute, is named all the while, and settled once somebody answers", () => {
    const bench = new Bench(first, 1);
    bench.write(first.with("a", form("a", 2)));
    bench.wait(fruitlessTrialsMax * canaryPatienceMs);
    const [stop] = [...bench.state.stopped.values()];
    for (let pauseMs = retryPauseMinMs; pauseMs < 4 * retryPauseMaxMs; pauseMs *= 2) {
      const boundMs = Math.min(pauseMs, retryPauseMaxMs);
      bench.wait(boundMs - 1);
      expect(bench.canaries).toEqual([]);
      bench.wait(1);
      expect(bench.canaries).toEqual(["p0"]);
      expect([...bench.state.stopped.values()]).toEqual([stop]);
      bench.wait(canaryPatienceMs);
    }
    bench.wait(retryPauseMaxMs);
    bench.hear("took", "p0");
    bench.wait(canaryLifeMs);
    expect([bench.told("p0"), bench.state.unsettled.size, bench.state.stopped.size, bench.state.retries.size]).toEqual([2, 0, 0, 0]);
  });

  it("that was held back is stopped for good by a refusal, until it is written again", () => {
    const bench = new Bench(first, 1);
    bench.write(first.with("a", form("a", 2)));
    bench.wait(fruitlessTrialsMax * canaryPatienceMs + retryPauseMinMs);
    bench.hear("refused", "p0", "no such field");
    bench.wait(10 * retryPauseMaxMs);
    expect([...bench.state.stopped.values()]).toMatchObject([{ cause: "refused", reason: "no such field" }]);
    expect(bench.canaries).toEqual([]);
    bench.write(first.with("a", form("a", 3)));
    expect(bench.canaries).toEqual(["p0"]);
  });

  it("that was held back is tried at once by a plane that starts, and when another policy has passed", () => {
    const bench = new Bench(first, 1);
    bench.write(first.with("a", form("a", 2)));
    bench.wait(fruitlessTrialsMax * canaryPatienceMs);
    const wanted = bench.state.wanted.with("b", form("b", 1));
    bench.write(wanted);
    expect([...(bench.state.trial?.forms.keys() ?? [])]).toEqual(["b"]);
    bench.hear("took", "p0");
    bench.wait(canaryLifeMs);
    expect([...(bench.state.trial?.forms.keys() ?? [])]).toEqual(["a"]);
    bench.state = canaryState(bench.state.settled, bench.state.stopped);
    bench.write(wanted);
    expect([...(bench.state.trial?.forms.keys() ?? [])]).toEqual(["a"]);
  });

  it("that was held back gives way to what is written meanwhile", () => {
    const bench = new Bench(first, 1);
    bench.write(first.with("a", form("a", 2)));
    bench.wait(fruitlessTrialsMax * canaryPatienceMs + retryPauseMinMs);
    bench.write(bench.state.wanted.with("b", form("b", 1)));
    expect([...(bench.state.trial?.forms.keys() ?? [])]).toEqual(["b"]);
  });

  it("by which everybody who is told of it stands still is told to no more of them with time", () => {
    const bench = new Bench(first, 100);
    bench.write(first.with("a", form("a", 2)));
    const told = new Set<string>();
    for (let seconds = 0; seconds < 3_600; seconds++) {
      for (const key of bench.canaries) for (const seen of [bench.still, told]) seen.add(key);
      bench.wait(1_000);
    }
    expect(told.size).toBe(fruitlessTrialsMax * canariesMax);
    expect([...bench.state.stopped.values()]).toMatchObject([{ cause: "silent" }]);
  });

  it("is not laid to by the loss of all links, however often, nor by a canary that does not come back from it", () => {
    const bench = new Bench(first, 5);
    bench.isUnsettled = true;
    bench.write(first.with("a", form("a", 2)));
    for (let times = 0; times < 2; times++) {
      bench.loseAll();
      for (let at = 0; at < 5; at++) bench.join(`p${at}`);
    }
    bench.wait(lossesTogetherMs);
    expect(bench.state.stopped.size).toBe(0);
    bench.loseAll();
    for (let at = 0; at < 4; at++) bench.join(`q${at}`);
    bench.wait(canaryPatienceMs);
    expect(bench.state.stopped.size).toBe(0);
    for (const key of bench.canaries) bench.hear("took", key);
    bench.wait(canaryLifeMs);
    expect(bench.told("p3")).toBe(2);
  });

  it("is not passed by the absence of everybody once a proxy was told of it, unless all have left", () => {
    const bench = new Bench(first, 5);
    bench.write(first.with("a", form("a", 2)));
    bench.loseAll();
    bench.wait(10 * canaryPatienceMs);
    expect(bench.told("p1")).toBe(1);
    // Two that went wrong together are as little passed.
    bench.write(forms({ a: form("a", 3), b: form("b", 3) }));
    expect([bench.told("p1"), bench.told("p1", "b")]).toEqual([3, 3]);
    bench.join("p1");
    bench.write(forms({ a: form("a", 4), b: form("b", 4) }));
    bench.hear("refused", "p1");
    bench.hear("refused", "p1");
    bench.lose("p1", "left");
    bench.wait(10 * canaryPatienceMs);
    expect([bench.told("p1"), bench.told("p1", "b")]).toEqual([3, 3]);
    for (const key of [...bench.lost]) bench.lose(key, "left");
    bench.look();
    expect([bench.told("p1"), bench.told("p1", "b")]).toEqual([3, 4]);
    expect([...bench.state.stopped.keys()]).toEqual(["a"]);
  });

  it("is laid to when a canary goes away while fewer than half of the others do", () => {
    const bench = new Bench(first, 6);
    bench.write(first.with("a", form("a", 2)));
    for (const key of ["p1", "p0", "p2"]) bench.lose(key);
    bench.wait(canaryPatienceMs);
    expect([...bench.state.losses.values()]).toEqual([[new Map([["p0", undefined]])]]);
  });

  it("that is withdrawn, or put back to what all have, is told to all at once", () => {
    const bench = new Bench(first.with("b", form("b", 1)), 5);
    bench.write(first.with("b", form("b", 2)));
    bench.write(first);
    expect(bench.state.trial).toBeUndefined();
    expect(bench.told("p1", "b")).toBeUndefined();
    bench.write(first.with("a", form("a", 2)));
    bench.hear("refused", "p0");
    bench.write(first.with("a", form("a", 1, 7)));
    expect([bench.state.trial, bench.state.stopped.size, bench.told("p1")]).toEqual([undefined, 0, 1]);
  });

  it("goes to all at once where there is no proxy, and waits for those that may come back to a plane that has just begun", () => {
    const empty = new Bench(first, 0);
    empty.write(first.with("a", form("a", 2)));
    expect(empty.told("p1")).toBe(2);
    const restarted = new Bench(first, 0);
    restarted.isUnsettled = true;
    restarted.write(first.with("a", form("a", 2)));
    expect(untriedKeys(restarted.state)).toEqual(["a"]);
    restarted.join("p3");
    restarted.join("p4");
    expect([restarted.told("p3"), restarted.told("p4")]).toEqual([2, 1]);
  });

  it("changes nothing while none of the proxies can try it", () => {
    const bench = new Bench(first, 0);
    bench.isUnsettled = true;
    bench.write(first.with("a", form("a", 2)));
    const before = bench.state;
    bench.look();
    expect(bench.state).toBe(before);
  });

  it("of several that are tried together and go wrong, is found by trying each alone", () => {
    const bench = new Bench(first.with("b", form("b", 1)), 5);
    bench.write(forms({ a: form("a", 2), b: form("b", 2), c: form("c", 2) }));
    expect(bench.state.trial?.forms.size).toBe(3);
    bench.hear("refused", "p0");
    for (let tries = 0; tries < 3; tries++) {
      const isBad = bench.state.trial?.forms.has("b") === true;
      bench.hear(isBad ? "refused" : "took", "p0");
      bench.wait(canaryLifeMs);
    }
    expect([...bench.state.stopped.keys()]).toEqual(["b"]);
    expect(["a", "b", "c"].map((target) => bench.told("p1", target))).toEqual([2, 1, 2]);
  });
});

describe("whatever proxies and writers do", () => {
  const targets = ["a", "b", "c"] as const;
  /** The contents that no proxy bears. */
  const isPoison = (of: PolicyForm | undefined): boolean => (of?.policy.spec.timeouts?.requestMs ?? 0) >= 100;
  const step = fc.oneof(
    fc.record({ kind: fc.constant("write" as const), target: fc.constantFrom(...targets), value: fc.constantFrom(1, 2, 3, 100, 101) }),
    fc.record({ kind: fc.constant("delete" as const), target: fc.constantFrom(...targets) }),
    fc.record({ kind: fc.constantFrom("join" as const, "end" as const, "leave" as const), proxy: fc.integer({ min: 0, max: 24 }) }),
    fc.record({ kind: fc.constant("wait" as const), ms: fc.constantFrom(1, canaryLifeMs, canaryPatienceMs) }),
    fc.record({ kind: fc.constantFrom("answer" as const, "crash" as const, "restart" as const) }),
  );

  /** Canaries answer as what they are told deserves. */
  const answer = (bench: Bench, how: "refused" | "ended"): void => {
    for (const [proxy, { state }] of bench.state.trial?.canaries ?? []) {
      if (state !== "told" && state !== "took") continue;
      const isBad = [...(bench.state.trial?.forms.values() ?? [])].some(isPoison);
      if (!isBad) bench.hear("took", proxy);
      else if (how === "refused") bench.hear("refused", proxy);
      else bench.lose(proxy);
    }
  };

  const disturbance = fc.oneof(
    fc.record({ kind: fc.constant("write" as const), target: fc.constantFrom(...targets), value: fc.constantFrom(1, 2, 3) }),
    fc.record({ kind: fc.constantFrom("join" as const, "leave" as const, "stand still" as const), proxy: fc.integer({ min: 0, max: 24 }) }),
    fc.record({ kind: fc.constant("wait" as const), ms: fc.constantFrom(1, canaryLifeMs, lossesTogetherMs, canaryPatienceMs, retryPauseMaxMs) }),
    fc.record({ kind: fc.constant("link" as const), proxy: fc.integer({ min: 0, max: 24 }), ms: fc.constantFrom(1, canaryPatienceMs, 2 * retryPauseMaxMs) }),
    fc.record({ kind: fc.constantFrom("answer" as const, "all links lost" as const, "all back" as const, "all leave" as const, "all stand still" as const, "restart" as const) }),
  );

  it("without a refusal, and without a process that ends alone, whatever links break, every policy is settled in the end", () => {
    fc.assert(
      fc.property(fc.array(disturbance, { maxLength: 60 }), (steps) => {
        // Each says which process it is: of one that does not, a second end within a trial stops a policy.
        const bench = new Bench(forms({ a: form("a", 1) }), 0);
        bench.isUnsettled = true;
        const join = (key: string): void => bench.join(key, `process of ${key}`);
        // Two come back from everything at once: an end of one proxy that is alone is held against nobody's.
        const joinTwo = (): void => ["always", "also"].forEach(join);
        const joinAll = (): void => {
          for (let at = 0; at < 12; at++) join(`p${at}`);
        };
        joinAll();
        joinTwo();
        let wanted = bench.state.wanted;
        let revision = 1_000;
        const answerAll = (): void => {
          for (const proxy of bench.canaries) if (!bench.still.has(proxy)) bench.hear("took", proxy);
        };
        for (const one of steps) {
          if (one.kind === "write") bench.write((wanted = wanted.with(one.target, form(one.target, one.value, ++revision))));
          else if (one.kind === "join") join(`p${one.proxy}`);
          else if (one.kind === "leave") bench.lose(`p${one.proxy}`, "left");
          else if (one.kind === "link") bench.breakLink(`p${one.proxy}`, one.ms);
          else if (one.kind === "stand still") bench.still.add(`p${one.proxy}`);
          else if (one.kind === "wait") bench.wait(one.ms);
          else if (one.kind === "answer") answerAll();
          else if (one.kind === "all links lost") bench.loseAll();
          else if (one.kind === "all leave") for (const { key } of [...bench.proxies]) bench.lose(key, "left");
          else if (one.kind === "all stand still") for (const { key } of bench.proxies) bench.still.add(key);
          else if (one.kind === "restart") {
            bench.state = canaryState(bench.state.settled, bench.state.stopped);
            bench.write(wanted);
          } else joinAll();
          joinTwo();
        }
        joinAll();
        bench.still.clear();
        // What is held back waits for its pause at most, and whoever is there answers well within its time.
        for (let waitedMs = 0; waitedMs <= 2 * retryPauseMaxMs; waitedMs += canaryPatienceMs / 4) {
          answerAll();
          bench.wait(canaryPatienceMs / 4);
        }
        expect([...bench.state.stopped.values()]).toEqual([]);
        for (const [target, of] of wanted) expect(bench.state.settled.get(target)).toEqual(of);
      }),
      { numRuns: 500 },
    );
  });

  it("no more than the canaries are told of a form that a proxy does not bear, and every other form reaches all", () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const bench = new Bench(forms({ a: form("a", 1) }), 12);
        // One proxy that outlives everything: without any, there is nobody to find out.
        bench.join("always");
        let wanted = bench.state.wanted;
        let revision = 1_000;
        const check = (): void => {
          expect([...bench.state.settled.values()].some(isPoison)).toBe(false);
          expect(bench.canaries.length).toBeLessThanOrEqual(canariesMax);
        };
        for (const one of steps) {
          if (one.kind === "write") bench.write((wanted = wanted.with(one.target, form(one.target, one.value, ++revision))));
          else if (one.kind === "delete") bench.write((wanted = wanted.without(one.target)));
          else if (one.kind === "join") bench.join(`p${one.proxy}`);
          else if (one.kind === "end") bench.lose(`p${one.proxy}`);
          else if (one.kind === "leave") bench.lose(`p${one.proxy}`, "left");
          else if (one.kind === "wait") bench.wait(one.ms);
          else if (one.kind === "restart") {
            bench.state = canaryState(bench.state.settled, bench.state.stopped);
            bench.write(wanted);
          } else answer(bench, one.kind === "crash" ? "ended" : "refused");
          check();
        }
        for (let rounds = 0; rounds < 20; rounds++) {
          answer(bench, "refused");
          check();
          bench.wait(canaryPatienceMs);
          check();
        }
        // What was stopped because its canaries went away alone, a writer writes again.
        for (const [target, { form: stopped }] of bench.state.stopped) {
          if (!isPoison(stopped)) bench.write((wanted = wanted.with(target, form(target, stopped.policy.spec.timeouts?.requestMs ?? 0, ++revision))));
        }
        for (let rounds = 0; rounds < 10; rounds++) {
          answer(bench, "refused");
          bench.wait(canaryLifeMs);
        }
        for (const [target, of] of wanted) if (!isPoison(of)) expect(bench.state.settled.get(target)).toEqual(of);
        for (const target of targets) if (!wanted.has(target)) expect(bench.state.settled.has(target)).toBe(false);
      }),
      { numRuns: 300 },
    );
  });
});
