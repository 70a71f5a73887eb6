import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { apiVersion, type TrafficPolicy } from "#federation/model/resource.ts";
import { OrderedMap } from "#federation/runtime/ordered-map.ts";
import { advance, afterEvent, canaryState, dueMs, fruitlessTrialsMax, triedForms, untriedKeys, withWanted, type CanaryState, type PolicyForms } from "./canary-state.ts";
import { canariesMax, canaryLifeMs, canaryPatienceMs, type TrialEvent, type CanaryCandidate, type PolicyForm } from "./canary-trial.ts";

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
  /** Those that come back, by whoever is there at all. */
  isUnsettled = false;

  constructor(told: PolicyForms, proxies: number) {
    this.state = canaryState(told, OrderedMap.of());
    for (let at = 0; at < proxies; at++) this.join(`p${at}`);
  }

  join(key: string): void {
    if (!this.proxies.some((proxy) => proxy.key === key)) this.proxies.push({ key, name: key, identity: `workload ${key}` });
    this.hear("returned", key);
  }

  lose(key: string, kind: "ended" | "left" = "ended"): void {
    this.proxies.splice(0, this.proxies.length, ...this.proxies.filter((proxy) => proxy.key !== key));
    this.hear(kind, key);
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
    this.state = advance(this.state, { candidates: () => this.proxies, hasProxies: this.proxies.length > 0 || this.isUnsettled, nowMs, wallMs: nowMs });
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

  it("is stopped when the canary's stream ends and it does not come back in time", () => {
    const bench = new Bench(first, 5);
    bench.write(first.with("a", form("a", 2)));
    bench.hear("took", "p0");
    bench.lose("p0");
    bench.wait(canaryPatienceMs - 1);
    expect(bench.state.trial).toBeDefined();
    bench.wait(1);
    expect([...bench.state.stopped.values()]).toMatchObject([{ proxy: "p0", reason: "its stream ended after it was told of it, and it did not come back within 20 s" }]);
    expect(bench.told("p1")).toBe(1);
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
    expect([...bad.state.stopped.values()]).toMatchObject([{ proxy: "p0", reason: "its stream ended twice after it was told of it" }]);
  });

  it("is tried with another when the canary takes its leave, or stands still, and is stopped when nobody ever says anything", () => {
    const bench = new Bench(first, 5);
    bench.write(first.with("a", form("a", 2)));
    bench.lose("p0", "left");
    expect(bench.canaries).toEqual(["p1"]);
    bench.proxies.splice(0, 1);
    bench.wait(canaryPatienceMs);
    expect(bench.canaries).toEqual(["p2"]);
    bench.wait(canaryPatienceMs);
    expect(fruitlessTrialsMax).toBe(3);
    expect([...bench.state.stopped.values()]).toMatchObject([{ proxy: "p2", reason: "it has not answered for 20 s" }]);
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
        // What was never borne because its canaries were away, a writer writes again.
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
