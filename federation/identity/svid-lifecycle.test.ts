import { chmod, mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { createSeededRandom } from "#federation/runtime/random.ts";
import { VirtualClock } from "#federation/runtime/virtual-clock.ts";
import { createDomainFixture, type DomainFixture } from "./identity-fixture.ts";
import { loadIdentity, saveBundles, saveSvid } from "./svid-files.ts";
import { SvidSource, type SvidEvent } from "./svid-source.ts";
import type { X509Svid } from "./svid.ts";

const id = "spiffe://shop.example/ns/web/sa/storefront";
const minuteMs = 60_000;
const hourMs = 60 * minuteMs;
let directory = "";
let clock: VirtualClock;
let shop: DomainFixture;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "atoll-svid-"));
  clock = new VirtualClock();
  shop = createDomainFixture("shop.example", clock.nowMs());
});
afterEach(() => rm(directory, { recursive: true, force: true }));

test("an identity and its bundles come back from disk, private to their owner", async () => {
  const svid = shop.issue(id);
  expect(await loadIdentity(directory)).toEqual({ svid: undefined, bundles: [], warnings: [] });
  await saveSvid(directory, shop.issue(id));
  await saveSvid(directory, svid);
  await saveBundles(directory, [shop.bundle, createDomainFixture("pay.example", clock.nowMs()).bundle]);
  const loaded = await loadIdentity(directory);
  expect(loaded.svid).toEqual(svid);
  expect(loaded.bundles.map((bundle) => bundle.trustDomain)).toEqual(["shop.example", "pay.example"]);
  expect(loaded.bundles[0]).toEqual(shop.bundle);
  expect((await readdir(directory)).sort()).toEqual(["bundles.json", "svid.pem"]);
  for (const name of await readdir(directory)) expect((await stat(join(directory, name))).mode & 0o777).toBe(0o600);
});

test("files that cannot be used are moved aside and told of, never deleted, and their secrets stay out of the warning", async () => {
  const [one, two] = [shop.issue(id), shop.issue(id)];
  const mixed = one.privateKeyPem + two.certificateChainPem;
  for (const text of [mixed, "", "-----BEGIN CERTIFICATE-----", one.privateKeyPem, one.certificateChainPem]) {
    await writeFile(join(directory, "svid.pem"), text);
    const { svid, warnings } = await loadIdentity(directory);
    expect(svid).toBeUndefined();
    expect(warnings).toHaveLength(1);
    expect(warnings[0]).not.toContain(one.privateKeyPem.slice(40, 80));
    const aside = /moved to (\S+):/.exec(warnings[0] ?? "")?.[1] ?? "";
    expect(await readFile(aside, "utf8")).toBe(text);
  }
  await writeFile(join(directory, "bundles.json"), '{"trust_domains":{"shop.example":{"keys":3}}}');
  expect((await loadIdentity(directory)).warnings).toHaveLength(1);
  expect((await readdir(directory)).filter((name) => name.includes(".corrupt-"))).toHaveLength(6);
});

test("a directory that cannot be written leaves what was there", async () => {
  const svid = shop.issue(id);
  await saveSvid(directory, svid);
  const other = join(directory, "svid.pem", "below");
  await expect(saveSvid(other, shop.issue(id))).rejects.toThrow();
  await chmod(directory, 0o700);
  expect((await loadIdentity(directory)).svid).toEqual(svid);
});

interface Run {
  readonly source: SvidSource;
  readonly events: SvidEvent[];
  readonly issuedAtMs: number[];
  /** By which SVID each was asked for. */
  readonly shown: (X509Svid | undefined)[];
  readonly plane: { away: boolean };
  stop(): Promise<void>;
}

function start(initial: X509Svid | undefined, seed = 1, away = false): Run {
  const stopper = new AbortController();
  const events: SvidEvent[] = [];
  const issuedAtMs: number[] = [];
  const shown: (X509Svid | undefined)[] = [];
  const plane = { away };
  const source = new SvidSource({
    initial,
    clock,
    random: createSeededRandom(seed),
    onEvent: (event) => events.push(event),
    issue: (newest) => {
      issuedAtMs.push(clock.nowMs());
      shown.push(newest);
      if (plane.away) return Promise.reject(new Error("the plane is away"));
      return Promise.resolve(shop.issue(id, "intermediate", { nowMs: clock.nowMs() }));
    },
  });
  const done = source.run(stopper.signal);
  return {
    source,
    events,
    issuedAtMs,
    shown,
    plane,
    async stop() {
      stopper.abort();
      await done;
    },
  };
}

test("the first SVID is fetched at once and later ones at half-life, moved by at most a tenth", async () => {
  const startMs = clock.nowMs();
  const run = start(undefined);
  await clock.advance(10 * hourMs);
  expect(run.issuedAtMs[0]).toBe(startMs);
  const gaps = run.issuedAtMs.slice(1).map((at, index) => at - (run.issuedAtMs[index] as number));
  expect(gaps.length).toBeGreaterThan(15);
  for (const gap of gaps) {
    expect(gap).toBeGreaterThanOrEqual(27 * minuteMs - 1_000);
    expect(gap).toBeLessThanOrEqual(33 * minuteMs + 1_000);
  }
  expect(run.source.current?.notAfterMs).toBeGreaterThan(clock.nowMs());
  await run.stop();
});

test("many proxies that start together do not renew together", async () => {
  const runs = Array.from({ length: 40 }, (_unused, seed) => start(undefined, seed + 1));
  await clock.advance(hourMs * 0.6);
  const second = runs.map((run) => run.issuedAtMs[1] as number);
  expect(Math.max(...second) - Math.min(...second)).toBeGreaterThan(4 * minuteMs);
  for (const run of runs) await run.stop();
});

test("one from disk is used at once and renewed at half of its own life; an expired one is good for asking for the next alone", async () => {
  const startMs = clock.nowMs();
  const fresh = shop.issue(id);
  const run = start(fresh);
  await clock.advance(20 * minuteMs);
  expect(run.source.current).toBe(fresh);
  expect(run.issuedAtMs).toEqual([]);
  await clock.advance(20 * minuteMs);
  expect(run.issuedAtMs).toHaveLength(1);
  expect((run.issuedAtMs[0] as number) - startMs).toBeLessThan(30 * minuteMs);
  await run.stop();
  clock.jumpWall(2 * hourMs);
  const late = start(fresh);
  expect(late.source.current).toBeUndefined();
  await clock.advance(0);
  expect(late.shown).toEqual([fresh]);
  expect(late.source.current).toBeDefined();
  await late.stop();
});

test("while nobody issues, attempts go on with bounded pauses, the SVID serves to its end and then is gone, and comes back", async () => {
  const first = shop.issue(id);
  const run = start(first);
  run.plane.away = true;
  await clock.advance(59 * minuteMs);
  expect(run.source.current).toBe(first);
  const seen: (X509Svid | undefined)[] = [];
  const watching = new AbortController();
  const watch = (async () => {
    for await (const svid of run.source.changes(watching.signal)) seen.push(svid);
  })();
  await clock.advance(2 * minuteMs);
  expect(run.source.current).toBeUndefined();
  expect(run.events.filter((event) => event.kind === "expired")).toHaveLength(1);
  const retries = run.events.flatMap((event) => (event.kind === "renewalFailed" ? [event.retryInMs] : []));
  expect(Math.min(...retries)).toBeGreaterThanOrEqual(750);
  expect(Math.max(...retries)).toBeLessThanOrEqual(75_000);
  expect(retries.length).toBeLessThan(120);
  const lapsed = run.shown.length;
  expect(run.shown.at(-1)).toBe(first);
  run.plane.away = false;
  await clock.advance(5_000);
  expect(run.source.current?.spiffeId).toBe(id);
  expect(run.shown).toHaveLength(lapsed + 1);
  expect(seen.map((svid) => svid?.spiffeId)).toEqual([id, undefined, id]);
  watching.abort();
  await watch;
  await run.stop();
});

test("what has ended by our clock when it is issued is no identity, is said to be the clock's doing, and is not asked for without a pause", async () => {
  let aheadMs = 3 * hourMs;
  const events: SvidEvent[] = [];
  const stopper = new AbortController();
  let asked = 0;
  const shown: (X509Svid | undefined)[] = [];
  const source = new SvidSource({
    initial: undefined,
    clock,
    random: createSeededRandom(1),
    onEvent: (event) => events.push(event),
    issue: (newest) => {
      asked++;
      shown.push(newest);
      return Promise.resolve(shop.issue(id, "intermediate", { nowMs: clock.nowMs() - aheadMs }));
    },
  });
  const running = source.run(stopper.signal);
  await clock.advance(minuteMs);
  expect(source.current).toBeUndefined();
  expect(events.map(({ kind }) => kind)).toEqual(Array.from({ length: asked }, () => "renewalFailed"));
  expect(events[0]).toMatchObject({ error: { code: "ATOLL_CERTIFICATE_INVALID", message: expect.stringContaining("ended 2 h ago by the clock of this host: it is ahead of the plane's") as string } });
  expect(asked).toBeLessThan(25);
  // A token is used up: what was had is what the next is asked for by.
  expect(shown.slice(1)).not.toContain(undefined);
  aheadMs = 0;
  await clock.advance(10_000);
  expect(source.current).toBeDefined();
  stopper.abort();
  await running;
});

test("what is not valid yet by our clock is said to be the clock's doing, once", async () => {
  const svid = shop.issue(id, "intermediate", { nowMs: clock.nowMs() + 2 * hourMs });
  const events: SvidEvent[] = [];
  const stopper = new AbortController();
  const source = new SvidSource({ initial: svid, clock, random: createSeededRandom(1), onEvent: (event) => events.push(event), issue: () => Promise.reject(new Error("unexpected")) });
  const running = source.run(stopper.signal);
  await clock.advance(minuteMs);
  expect(events).toEqual([{ kind: "early", svid, earlyMs: svid.notBeforeMs - (clock.nowMs() - minuteMs) }]);
  stopper.abort();
  await running;
});

test("a short life has several attempts before its end", async () => {
  const short = shop.issue(id, "intermediate", { validityMs: minuteMs });
  const run = start(short, 1, true);
  await clock.advance(minuteMs - 1);
  expect(run.source.current).toBe(short);
  expect(run.issuedAtMs.length).toBeGreaterThanOrEqual(6);
  run.plane.away = false;
  await clock.advance(5_000);
  expect(run.source.current?.notAfterMs).toBeGreaterThan(clock.nowMs());
  await run.stop();
});

test("a renewal asked for happens at once, and a jump of the wall clock, as after a machine's sleep, is noticed within seconds", async () => {
  const run = start(undefined);
  await clock.advance(minuteMs);
  expect(run.issuedAtMs).toHaveLength(1);
  run.source.renewNow();
  await clock.advance(0);
  expect(run.issuedAtMs).toHaveLength(2);
  clock.jumpWall(50 * minuteMs);
  await clock.advance(4_000);
  expect(run.issuedAtMs).toHaveLength(3);
  await run.stop();
});

test("what its issuer's end cuts short is renewed a bounded number of times until then, and for its whole life once the issuer is another", async () => {
  const endMs = clock.nowMs() + 4 * hourMs;
  let issuerEndMs = endMs;
  const stopper = new AbortController();
  const lives: number[] = [];
  const source = new SvidSource({
    initial: undefined,
    clock,
    random: createSeededRandom(1),
    issue: () => {
      const validityMs = Math.min(6 * hourMs, issuerEndMs - clock.nowMs());
      if (validityMs <= 0) return Promise.reject(new Error("the issuer has ended"));
      lives.push(validityMs);
      return Promise.resolve(shop.issue(id, "root", { nowMs: clock.nowMs(), validityMs }));
    },
  });
  const running = source.run(stopper.signal);
  // Halved each time: from four hours to a minute, some eight times.
  await clock.advance(4 * hourMs - minuteMs);
  expect(source.current?.notAfterMs).toBe(endMs);
  expect(lives.length).toBeGreaterThan(5);
  expect(lives.length).toBeLessThan(15);
  issuerEndMs = Infinity;
  await clock.advance(minuteMs);
  expect(lives.at(-1)).toBe(6 * hourMs);
  const renewals = lives.length;
  await clock.advance(2 * hourMs);
  expect(lives).toHaveLength(renewals);
  stopper.abort();
  await running;
});
