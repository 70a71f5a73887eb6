import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { encodeBundle, parseBundle } from "#federation/identity/bundle-jwks.ts";
import { createDomainFixture } from "#federation/identity/identity-fixture.ts";
import { apiVersion, type FederatedTrustDomain } from "#federation/model/resource.ts";
import type { TrustBundle } from "#federation/model/trust-bundle.ts";
import { AtollError } from "#federation/runtime/errors.ts";
import { runTasks } from "#federation/runtime/lifecycle.ts";
import { VirtualClock } from "#federation/runtime/virtual-clock.ts";
import { silentLogger } from "#federation/telemetry/logger.ts";
import { openTestCatalog, settled, type TestCatalog } from "../catalog-fixture.ts";
import { believedBundle } from "./believed-bundle.ts";
import { FederatedBundles, type FederatedBundlesOptions } from "./federated-bundles.ts";
import type { FetchOutcome, FetchQuestion } from "./fetch-bundle.ts";
import { fetchRetryMs } from "./refresh-times.ts";

const middle = { next: () => 0.5, bytes: (length: number) => new Uint8Array(length) };
const name = "partner.example";
const first = "https://one.partner.example/";
const second = "https://two.partner.example/";

describe("the bundles of federated trust domains", () => {
  let clock: VirtualClock;
  let test: TestCatalog;
  let stop: AbortController;
  let running: Promise<void>;
  let bundles: FederatedBundles;
  let asked: FetchQuestion[];
  let results: string[];
  let answers: Map<string, FetchOutcome>;
  let own: Set<string>;
  let storeFault: AtollError | undefined;
  let partner: ReturnType<typeof createDomainFixture>;

  beforeEach(async () => {
    clock = new VirtualClock();
    test = await openTestCatalog(clock);
    partner = createDomainFixture(name, clock.nowMs());
    asked = [];
    results = [];
    answers = new Map();
    own = new Set();
    storeFault = undefined;
    start();
  });
  afterEach(async () => {
    stop.abort();
    await running;
    await test[Symbol.asyncDispose]();
  });

  /** As another process, or another replica of the plane, would. */
  function start(): void {
    stop = new AbortController();
    const collection = test.catalog.resources("FederatedTrustDomain");
    const declared = collection.view();
    const setStatus: FederatedBundlesOptions["setStatus"] = async (id, change, inner) => {
      if (storeFault !== undefined) throw storeFault;
      await collection.setStatus(id, change, inner);
    };
    const fetch: FederatedBundlesOptions["fetch"] = async (question) => {
      asked.push(question);
      return answers.get(question.url) ?? { kind: "failed", reason: "unreachable", message: "it cannot be reached" };
    };
    bundles = new FederatedBundles({ declared: declared.state, setStatus, isOwn: (domain) => own.has(domain), fetch, parseBundle, onFetched: (result) => results.push(result), clock, random: middle, logger: silentLogger });
    running = runTasks([declared.run, (inner) => bundles.run(inner)], stop.signal);
  }
  async function restart(): Promise<void> {
    stop.abort();
    await running;
    asked = [];
    results = [];
    start();
    await settled(clock);
  }
  const declare = async (over: Partial<FederatedTrustDomain["spec"]> = {}): Promise<void> => {
    await test.catalog.resources("FederatedTrustDomain").apply({ apiVersion, kind: "FederatedTrustDomain", metadata: { name }, spec: { bundleEndpoint: { urls: [first, second], profile: "https_web" }, ...over } }, {}, stop.signal);
    await settled(clock);
  };
  const stored = async (): Promise<TrustBundle | undefined> => {
    const found = await test.catalog.resources("FederatedTrustDomain").get(name, new AbortController().signal);
    return found === undefined ? undefined : believedBundle(found.value, parseBundle);
  };
  const serve = (url: string, bundle: TrustBundle): void => void answers.set(url, { kind: "fetched", bundle });
  const next = (sequence: number): TrustBundle => ({ ...createDomainFixture(name, clock.nowMs()).bundle, sequence });
  const urls = (): readonly string[] => asked.map(({ url }) => url);

  it("are fetched when they are declared, stored, and fetched again as their documents hint", async () => {
    serve(first, partner.bundle);
    await declare();
    expect(urls()).toEqual([first]);
    expect(asked[0]).toMatchObject({ trustDomain: name, believed: undefined });
    expect(await stored()).toEqual({ ...partner.bundle, isFederated: true });
    expect(bundles.standing(name)).toEqual({ confirmedAtMs: clock.nowMs(), nextFetchMs: clock.nowMs() + 300_000 });
    const revision = (await test.catalog.resources("FederatedTrustDomain").get(name, stop.signal))?.revision;
    await clock.advance(300_000);
    expect(results).toEqual(["accepted", "unchanged"]);
    expect(asked[1]?.believed, "verified by what was fetched before").toEqual({ ...partner.bundle, isFederated: true });
    expect((await test.catalog.resources("FederatedTrustDomain").get(name, stop.signal))?.revision, "nothing is written for nothing").toBe(revision);
    const other = next(2);
    serve(first, other);
    await clock.advance(300_000);
    expect(await stored()).toEqual({ ...other, isFederated: true });
  });

  it("are asked for at the next URL where one gives nothing that can be taken", async () => {
    serve(second, partner.bundle);
    await declare();
    expect(urls()).toEqual([first, second]);
    expect(bundles.standing(name).fault).toBeUndefined();
    serve(first, { ...next(1), sequence: 0, x509Authorities: [] });
    await clock.advance(300_000);
    expect(results).toEqual(["accepted", "unchanged"]);
  });

  it("stay as they were through whatever cannot be fetched or taken, and are asked for less and less often then", async () => {
    serve(first, { ...partner.bundle, sequence: 5 });
    await declare({ bundleEndpoint: { urls: [first], profile: "https_web" } });
    const believed = await stored();
    for (const bad of [next(4), next(5), { ...partner.bundle, sequence: 9, x509Authorities: [] }]) {
      serve(first, bad);
      await clock.advance(300_000);
      expect(await stored()).toEqual(believed);
    }
    answers.clear();
    await clock.advance(3_600_000);
    expect(await stored()).toEqual(believed);
    expect(new Set(results.slice(1))).toEqual(new Set(["sequence", "empty", "unreachable"]));
    const { fault, confirmedAtMs } = bundles.standing(name);
    expect(fault).toMatchObject({ reason: "unreachable", message: `${first}: it cannot be reached` });
    expect(confirmedAtMs).toBeLessThan(fault?.sinceMs ?? 0);
    const before = asked.length;
    await clock.advance(10 * fetchRetryMs.max);
    expect(asked.length - before).toBe(10);
    serve(first, { ...partner.bundle, sequence: 5 });
    await clock.advance(fetchRetryMs.max);
    expect(bundles.standing(name).fault).toBeUndefined();
  });

  it("lie in the store for a cold start, where no endpoint can be reached", async () => {
    serve(first, partner.bundle);
    await declare();
    answers.clear();
    await restart();
    expect(await stored()).toEqual({ ...partner.bundle, isFederated: true });
    expect(asked[0]?.believed).toEqual({ ...partner.bundle, isFederated: true });
    expect(bundles.standing(name)).toMatchObject({ fault: { reason: "unreachable" } });
    expect(bundles.standing(name).confirmedAtMs).toBeUndefined();
  });

  it("begin by what their people have handed over, which counts again once its sequence is higher", async () => {
    await declare({ trustDomainBundle: encodeBundle(partner.bundle) });
    expect(asked[0]?.believed).toEqual({ ...partner.bundle, isFederated: true });
    const fetched = next(3);
    serve(first, fetched);
    await clock.advance(fetchRetryMs.first);
    expect(await stored()).toEqual({ ...fetched, isFederated: true });
    const handed = next(7);
    await declare({ trustDomainBundle: encodeBundle(handed) });
    expect(await stored()).toEqual({ ...handed, isFederated: true });
    expect(results.at(-1), "the endpoint still says what is older").toBe("sequence");
  });

  it("are asked for at once when what was declared changes, and no more once it is deleted", async () => {
    serve(second, partner.bundle);
    await declare({ bundleEndpoint: { urls: [first], profile: "https_web" } });
    await declare({ bundleEndpoint: { urls: [second], profile: "https_web" } });
    expect(urls()).toEqual([first, second]);
    await test.catalog.resources("FederatedTrustDomain").remove(name, {}, stop.signal);
    await settled(clock);
    await clock.advance(3_600_000);
    expect(urls()).toEqual([first, second]);
    expect(bundles.standing(name)).toEqual({});
    // Declared anew it begins anew, with an older sequence, too.
    serve(second, { ...next(0) });
    await declare();
    expect((await stored())?.sequence).toBe(0);
  });

  it("of a trust domain of this federation are asked of nobody", async () => {
    own.add(name);
    serve(first, partner.bundle);
    await declare();
    expect(asked).toEqual([]);
    expect(bundles.standing(name).fault).toMatchObject({ reason: "own" });
    own.delete(name);
    await clock.advance(fetchRetryMs.first);
    expect(await stored()).toBeDefined();
  });

  it("that the store does not take are fetched again", async () => {
    serve(first, partner.bundle);
    storeFault = new AtollError("ATOLL_STORE_UNAVAILABLE", "the store is away");
    await declare();
    expect(bundles.standing(name).fault).toMatchObject({ reason: "store" });
    storeFault = undefined;
    await clock.advance(fetchRetryMs.first);
    expect(await stored()).toBeDefined();
    expect(results).toEqual(["store", "accepted"]);
  });
});
