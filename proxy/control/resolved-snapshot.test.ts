import { describe, expect, it } from "vitest";
import type { GatewayAddress, RemotePlace, ServiceView, Snapshot } from "#federation/model/snapshot.ts";
import type { ResolvedNames } from "#federation/runtime/dns/name-resolver.ts";
import { WatchedValue } from "#federation/runtime/watched.ts";
import { catalogAt, localAt, remoteAt, snapshotOf } from "../http/proxy-fixture.ts";
import { ResolvedSnapshot } from "./resolved-snapshot.ts";

const port = 15_443;
const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** A proxy's two sources, and what comes of them. */
class Bench implements Disposable {
  readonly source: WatchedValue<Snapshot>;
  readonly names = new WatchedValue<ResolvedNames>(new Map());
  followed: ReadonlySet<string> = new Set();
  readonly resolved: ResolvedSnapshot;
  readonly #stop = new AbortController();

  constructor(snapshot: Snapshot) {
    this.source = new WatchedValue(snapshot);
    this.resolved = new ResolvedSnapshot(this.source, { names: this.names, follow: (names) => void (this.followed = names) });
    void this.resolved.run(this.#stop.signal);
  }

  async show(snapshot: Snapshot): Promise<void> {
    this.source.set(snapshot);
    await settle();
  }

  async answer(names: Readonly<Record<string, readonly string[]>>): Promise<void> {
    this.names.set(new Map(Object.entries(names).map(([name, addresses]) => [name, { addresses, asOfMs: 0, asked: true, problem: addresses.length === 0 ? "ENOTFOUND" : undefined }])));
    await settle();
  }

  get view(): ServiceView | undefined {
    return this.resolved.snapshot.current.services.values().next().value;
  }

  get gateways(): readonly GatewayAddress[] {
    return this.view?.places.flatMap((place) => (place.kind === "remote" ? place.gateways : [])) ?? [];
  }

  [Symbol.dispose](): void {
    this.#stop.abort();
  }
}

const farAt = (...addresses: readonly string[]): RemotePlace => ({ ...remoteAt("far"), gateways: addresses.map((address) => ({ address, port })) });
const named = (...addresses: readonly string[]): Snapshot => snapshotOf(catalogAt([localAt(1), farAt(...addresses)]));

describe("a snapshot whose gateways have names", () => {
  it("is routed by with every address of each name, and says which name they came from", async () => {
    using bench = new Bench(named("gw.example", "10.0.0.9"));
    expect([...bench.followed]).toEqual(["gw.example"]);
    expect(bench.gateways).toEqual([{ address: "10.0.0.9", port }]);
    await bench.answer({ "gw.example": ["10.0.0.1", "10.0.0.2"] });
    expect(bench.gateways).toEqual([
      { address: "10.0.0.1", port, name: "gw.example" },
      { address: "10.0.0.2", port, name: "gw.example" },
      { address: "10.0.0.9", port },
    ]);
  });

  it("counts an address once that two names, or a name and a listing, lead to", async () => {
    using bench = new Bench(named("a.example", "b.example", "10.0.0.1"));
    await bench.answer({ "a.example": ["10.0.0.1", "10.0.0.2"], "b.example": ["10.0.0.2"] });
    expect(bench.gateways.map(({ address }) => address)).toEqual(["10.0.0.1", "10.0.0.2"]);
  });

  it("keeps the very same service while the answers are the same, so that what was learned of it stays", async () => {
    using bench = new Bench(named("gw.example"));
    await bench.answer({ "gw.example": ["10.0.0.1"] });
    const { view } = bench;
    const snapshot = bench.resolved.snapshot.current;
    await bench.answer({ "gw.example": ["10.0.0.1"] });
    expect(bench.view).toBe(view);
    expect(bench.resolved.snapshot.current).toBe(snapshot);
    await bench.answer({ "gw.example": ["10.0.0.2"] });
    expect(bench.view).not.toBe(view);
  });

  it("keeps the gateways that a place had while a new name of it has no address, with everything else that is new", async () => {
    using bench = new Bench(named("10.0.0.9"));
    const next = catalogAt([localAt(1), farAt("gw.example")], { priority: "critical" });
    await bench.show(snapshotOf(next));
    expect(bench.gateways).toEqual([{ address: "10.0.0.9", port }]);
    expect(bench.view?.policy.priority).toBe("critical");
    await bench.answer({ "gw.example": [] });
    expect(bench.gateways).toEqual([{ address: "10.0.0.9", port }]);
    await bench.answer({ "gw.example": ["10.0.0.1"] });
    expect(bench.gateways).toEqual([{ address: "10.0.0.1", port, name: "gw.example" }]);
  });

  it("goes on with the other gateways of a cluster where one name does not resolve", async () => {
    using bench = new Bench(named("gw.example", "nothing.invalid"));
    await bench.answer({ "gw.example": ["10.0.0.1"], "nothing.invalid": [] });
    expect(bench.gateways).toEqual([{ address: "10.0.0.1", port, name: "gw.example" }]);
  });

  it("is passed on as it came where there are no names", async () => {
    const snapshot = named("10.0.0.1");
    using bench = new Bench(snapshot);
    expect(bench.resolved.snapshot.current).toBe(snapshot);
    expect(bench.followed.size).toBe(0);
  });
});
