import type { X509Certificate } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { VirtualClock } from "#federation/runtime/virtual-clock.ts";
import { FederationKeys, initFederation } from "#services/global/federation-keys.ts";
import { renewIssuing } from "#services/global/issuing-renewal.ts";
import { readCertificate } from "./engine-certificates.ts";
import { keepEngines, renewalMs } from "./engine-renewal.ts";

const minuteMs = 60_000;
/** With the quarter of an hour that a certificate begins earlier: looks are 2.5 minutes apart. */
const lifeMs = 60 * minuteMs;
const issuingLifeMs = 365 * 24 * 60 * minuteMs;
const startMs = Date.UTC(2026, 0, 1);
const names = ["eu-etcd", "eu-nats"] as const;

describe("certificates of engines", () => {
  let dataDir: string;
  let clock: VirtualClock;
  let stop: AbortController;
  let logged: string[];
  let renewedAt: number[];
  let reloads: string[];
  /** What each shows to whoever connects. */
  let shown: Map<string, X509Certificate | undefined>;
  let isBroken: boolean;
  let takesUp: (name: string) => boolean;
  let keys: FederationKeys;

  const written = (name: string): X509Certificate | undefined => readCertificate(join(dataDir, "global"), name);
  const write = (name: string): void => keys.writeEngine(name, name, ["127.0.0.1"], clock.nowMs(), lifeMs);
  const renewal = (members: readonly string[] = names) => ({
    kept: async () => members.map((name) => ({ name, words: ["--engine", name] })),
    written,
    // Etcd reads its files at each handshake, nats-server when it is told to.
    shown: async (name: string) => (name === "eu-etcd" ? written(name) : shown.get(name)),
    reload: (name: string) => {
      reloads.push(name);
      if (takesUp(name)) shown.set(name, written(name));
    },
    renew: async (words: readonly string[]) => {
      renewedAt.push(clock.nowMs() - startMs);
      if (isBroken) throw new Error("no keys");
      for (const name of words.filter((word) => word !== "--engine")) write(name);
    },
    clock,
    log: (message: string) => void logged.push(message),
  });

  beforeEach(() => {
    dataDir = mkdtempSync(join(tmpdir(), "atoll-engines-"));
    clock = new VirtualClock(startMs);
    stop = new AbortController();
    [logged, renewedAt, reloads, shown, isBroken, takesUp] = [[], [], [], new Map(), false, () => true];
    begin(startMs);
  });
  afterEach(() => rmSync(dataDir, { recursive: true, force: true }));

  /** A federation that was made at `madeMs`. */
  function begin(madeMs: number): void {
    rmSync(dataDir, { recursive: true, force: true });
    initFederation(join(dataDir, "global"), "shop.atoll", madeMs);
    keys = FederationKeys.load(join(dataDir, "global"));
    for (const name of names) write(name);
    shown.set("eu-nats", written("eu-nats"));
  }

  it("are due at two thirds of their life, up to a tenth of it earlier, each at its own time", () => {
    for (const name of names) {
      const atMs = renewalMs(written(name) as X509Certificate) - startMs;
      expect(atMs).toBeGreaterThanOrEqual(27.5 * minuteMs);
      expect(atMs).toBeLessThanOrEqual(35 * minuteMs);
    }
    expect(renewalMs(written("eu-etcd") as X509Certificate)).not.toBe(renewalMs(written("eu-nats") as X509Certificate));
  });

  it("are renewed for as long as engines run, none of them ever near its end, and taken up by those that have to be told", async () => {
    const keeping = keepEngines(renewal(), stop.signal);
    let leastMs = Infinity;
    for (let lived = 0; lived < 10 * lifeMs; lived += minuteMs) {
      await clock.advance(minuteMs);
      for (const certificate of [written("eu-etcd"), shown.get("eu-nats")]) leastMs = Math.min(leastMs, (certificate?.validToDate.getTime() ?? 0) - clock.nowMs());
    }
    expect(leastMs).toBeGreaterThan(22 * minuteMs);
    expect(new Set(reloads)).toEqual(new Set(["eu-nats"]));
    expect(logged.filter((line) => !line.startsWith("renewed: "))).toEqual([]);
    stop.abort();
    await keeping;
  });

  it("are tried again, ever less often within a bound, when that fails", async () => {
    isBroken = true;
    // One alone: whether two are due at the same look is in their random bytes.
    const keeping = keepEngines(renewal(["eu-etcd"]), stop.signal);
    await clock.advance(2 * lifeMs);
    const gaps = renewedAt.slice(1).map((atMs, index) => (atMs - (renewedAt[index] ?? 0)) / minuteMs);
    expect(gaps.slice(0, 4)).toEqual([5, 10, 15, 15]);
    expect(logged[0]).toBe("eu-etcd keeps its certificate for now: no keys");
    isBroken = false;
    await clock.advance(15 * minuteMs);
    expect((written("eu-etcd") as X509Certificate).validToDate.getTime()).toBeGreaterThan(clock.nowMs());
    stop.abort();
    await keeping;
  });

  it("are tried again together, too, and all of them are made anew once that can be done", async () => {
    isBroken = true;
    const keeping = keepEngines(renewal(), stop.signal);
    await clock.advance(2 * lifeMs);
    expect(logged.at(-1)).toBe("eu-etcd, eu-nats keep their certificates for now: no keys");
    isBroken = false;
    await clock.advance(15 * minuteMs);
    for (const name of names) expect((written(name) as X509Certificate).validToDate.getTime()).toBeGreaterThan(clock.nowMs());
    stop.abort();
    await keeping;
  });

  it("are brought in whoever wrote them, and a member that does not take its own up is named once", async () => {
    takesUp = () => false;
    const keeping = keepEngines(renewal(), stop.signal);
    await clock.advance(minuteMs);
    write("eu-nats");
    await clock.advance(10 * minuteMs);
    expect(reloads.length).toBeGreaterThanOrEqual(3);
    expect(logged).toEqual(["eu-nats goes on with the certificate before, though another is written: restart it"]);
    takesUp = () => true;
    await clock.advance(10 * minuteMs);
    expect(shown.get("eu-nats")?.fingerprint256).toBe(written("eu-nats")?.fingerprint256);
    stop.abort();
    await keeping;
  });

  it("that end with what they were issued by are named, and not made anew without end", async () => {
    begin(startMs - issuingLifeMs + 40 * minuteMs);
    // One alone: how often two are due at the same look is in their random bytes.
    const keeping = keepEngines(renewal(["eu-etcd"]), stop.signal);
    await clock.advance(39 * minuteMs);
    expect(logged.at(-1)).toMatch(/end as soon as the ones before: the federation's issuing certificate \(federation-issuing\.pem\) is near its end; `atoll renew-issuing` makes another$/);
    expect(renewedAt.length).toBeLessThan(10);
    stop.abort();
    await keeping;
  });

  it("live their whole life again once what they are issued by has been renewed", async () => {
    begin(startMs - issuingLifeMs + 40 * minuteMs);
    const keeping = keepEngines(renewal(["eu-etcd"]), stop.signal);
    await clock.advance(35 * minuteMs);
    expect((written("eu-etcd") as X509Certificate).validToDate.getTime()).toBe(startMs + 40 * minuteMs);
    renewIssuing({ dataDir: join(dataDir, "global"), nowMs: clock.nowMs() });
    await clock.advance(20 * minuteMs);
    expect((written("eu-etcd") as X509Certificate).validToDate.getTime()).toBeGreaterThan(startMs + 35 * minuteMs + lifeMs);
    stop.abort();
    await keeping;
  });

  it("keep their keys, so that no reader meets a pair that does not fit", () => {
    const before = written("eu-etcd") as X509Certificate;
    write("eu-etcd");
    const after = written("eu-etcd") as X509Certificate;
    expect(after.serialNumber).not.toBe(before.serialNumber);
    expect(after.publicKey.equals(before.publicKey)).toBe(true);
  });

  it("are nobody's concern where there are none, and what cannot be asked is asked again", async () => {
    let asked = 0;
    const keeping = keepEngines({ ...renewal(), kept: async () => (asked++ === 0 ? Promise.reject(new Error("it is torn")) : []) }, stop.signal);
    await clock.advance(minuteMs);
    expect(asked).toBeGreaterThan(2);
    expect(renewedAt).toEqual([]);
    expect(logged).toEqual(["certificates of engines could not be looked after: it is torn"]);
    stop.abort();
    await keeping;
  });
});
