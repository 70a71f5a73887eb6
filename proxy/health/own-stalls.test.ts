import { EventEmitter } from "node:events";
import type { Socket } from "node:net";
import { describe, expect, test } from "vitest";
import type { ClusterId, RegionId } from "#federation/model/names.ts";
import { createSeededRandom, type Random } from "#federation/runtime/random.ts";
import { VirtualClock } from "#federation/runtime/virtual-clock.ts";
import { catalogAt, chosenBy, localAt, remoteAt } from "../http/proxy-fixture.ts";
import { TimingWheel } from "../http/timing-wheel.ts";
import type { Outcome } from "../upstream/chooser.ts";
import { PoolSet } from "../upstream/pool-set.ts";
import { plainConnector, type ConnectHandler, type Connector } from "../upstream/connector.ts";
import { evidenceOf } from "../upstream/outcome-evidence.ts";
import { PlaceChooser } from "../upstream/place-chooser.ts";
import { PlaceHealth } from "../upstream/place-health.ts";
import { GatewayLink } from "./gateway-link.ts";
import { LocalStall } from "./local-stall.ts";
import { SleepyClock } from "./sleepy-clock-fixture.ts";

// A process that sleeps, seeded, on a host whose time is virtual. What others do goes on meanwhile, and what they send
// waits in the kernel. Every failure prints its seed.

/** A gateway at the other end of a path, as a process that does not sleep: it gives up a prober that is silent for a minute. */
class FarGateway implements Connector {
  readonly negotiates = false;
  readonly #host: VirtualClock;
  readonly #clock: SleepyClock;
  readonly #random: Random;
  readonly roundTripMs: number;
  /** From here on it takes bytes and says nothing; connects get no answer either. */
  silent = false;
  connects = 0;

  constructor(host: VirtualClock, clock: SleepyClock, path: { readonly random: Random; readonly roundTripMs: number }) {
    this.#host = host;
    this.#clock = clock;
    this.#random = path.random;
    this.roundTripMs = path.roundTripMs;
  }

  connect(_target: unknown, handler: ConnectHandler): Socket {
    this.connects++;
    let over = false;
    let idle: Disposable | undefined;
    const events = new EventEmitter();
    const close = (): void => {
      if (over) return;
      over = true;
      idle?.[Symbol.dispose]();
      events.emit("close");
    };
    const send = (length: number, act: () => void): void => {
      if (this.silent) return;
      idle?.[Symbol.dispose]();
      idle = this.#host.schedule(60_000, () => this.#clock.whenAwake(() => events.emit("end")));
      this.#host.schedule(length * this.roundTripMs * (0.95 + this.#random.next() * 0.1), () => {
        if (!over && !this.silent) this.#clock.whenAwake(() => void (over || act()));
      });
    };
    const socket = Object.assign(events, {
      write(bytes: Buffer): boolean {
        send(1, () => handler.onBytes(8, bytes));
        return true;
      },
      destroy: () => queueMicrotask(close),
    });
    // TCP, then TLS: this process has to run between the two.
    send(1, () => send(1, () => handler.onReady()));
    return socket as unknown as Socket;
  }
}

const sleeps = [
  ["short ones all the time", { everyMs: 400, lengthMs: 150 }],
  ["as long as it runs", { everyMs: 300, lengthMs: 600 }],
  ["seconds", { everyMs: 10_000, lengthMs: 8_000 }],
  ["minutes", { everyMs: 60_000, lengthMs: 150_000 }],
] as const;

/** Advances `host` by `forMs`; meanwhile the process sleeps now and then. */
async function live(host: VirtualClock, clock: SleepyClock, life: { readonly forMs: number; readonly random: Random; readonly everyMs: number; readonly lengthMs: number }): Promise<void> {
  const endMs = host.monotonicMs() + life.forMs;
  while (host.monotonicMs() < endMs) {
    await host.advance(life.random.next() * 2 * life.everyMs);
    const lengthMs = life.random.next() * 2 * life.lengthMs;
    clock.sleep(lengthMs);
    await host.advance(lengthMs);
  }
}

function linkTo(roundTripMs: number, seed: number) {
  const host = new VirtualClock();
  const clock = new SleepyClock(host);
  const random = createSeededRandom(seed);
  const gateway = new FarGateway(host, clock, { random, roundTripMs });
  const stall = new LocalStall(clock);
  const broken: { readonly cause: string; readonly atMs: number }[] = [];
  const link = new GatewayLink({
    target: { address: "192.0.2.1", port: 15_443, sni: "gateway", identities: [] },
    connector: gateway,
    inFlight: () => 1,
    events: { onPong: () => {}, onBroken: (cause) => void broken.push({ cause, atMs: host.monotonicMs() }), onLeaving: () => {}, onReturned: () => {} },
    clock,
    stall,
    random,
  });
  return { host, clock, random, gateway, stall, link, broken };
}

describe("a process that sleeps", () => {
  describe.each([1, 80, 280])("and pings over %d ms", (roundTripMs) => {
    test.each(sleeps)("(%s) takes no gateway for silent", async (_name, sleep) => {
      for (let seed = 1; seed <= 3; seed++) {
        const { host, clock, random, stall, link, broken } = linkTo(roundTripMs, seed);
        await host.advance(5_000);
        await live(host, clock, { ...sleep, random, forMs: 20_000 + 5 * sleep.everyMs });
        expect(broken, `seed ${seed}`).toEqual([]);
        expect(stall.count, `seed ${seed}`).toBeGreaterThan(0);
        link.close();
      }
    }, 60_000);

    test("finds a black hole in time, before and after a sleep", async () => {
      for (let seed = 1; seed <= 10; seed++) {
        const { host, clock, random, gateway, link, broken } = linkTo(roundTripMs, seed);
        await host.advance(20_000 + random.next() * 1_000);
        if (seed % 2 === 0) {
          clock.sleep(3_000);
          await host.advance(20_000 + random.next() * 1_000);
        }
        expect(broken, `seed ${seed}`).toEqual([]);
        gateway.silent = true;
        const sinceMs = host.monotonicMs();
        await host.advance(5_000);
        expect(broken[0]?.cause, `seed ${seed}`).toBe("unanswered");
        // Round trips vary by a twentieth here.
        expect((broken[0]?.atMs ?? 0) - sinceMs, `seed ${seed}`).toBeLessThanOrEqual(3 * 1.05 * roundTripMs + 350);
        link.close();
      }
    }, 60_000);

    test("finds a black hole while it goes on sleeping, when it has been awake for as long", async () => {
      const { host, clock, random, gateway, stall, link, broken } = linkTo(roundTripMs, 5);
      await host.advance(10_000);
      gateway.silent = true;
      const sinceMs = stall.awakeMs();
      let foundMs = Number.POSITIVE_INFINITY;
      for (let at = 0; at < 200 && broken.length === 0; at++) {
        await host.advance(30);
        clock.sleep(random.next() * 200);
        await host.advance(100);
        foundMs = stall.awakeMs() - sinceMs;
      }
      expect(foundMs).toBeLessThanOrEqual(3 * 1.05 * roundTripMs + 350 + 130);
      link.close();
    });
  });

  test.each(sleeps.slice(0, 3))("and sends requests (%s) lowers no place", async (_name, sleep) => {
    for (let seed = 1; seed <= 2; seed++) {
      const host = new VirtualClock();
      const clock = new SleepyClock(host);
      const random = createSeededRandom(seed);
      const stall = new LocalStall(clock);
      const health = new PlaceHealth(clock, { region: "eu" as RegionId, cluster: "here" as ClusterId, roundTripMs: new Map([["near" as ClusterId, 80]]) });
      const pools = new PoolSet({ connector: plainConnector, clock, random, wheel: new TimingWheel(clock, stall) });
      const view = catalogAt([localAt(1), remoteAt("near", 2)]);
      const [port] = view.ports;
      if (port === undefined) throw new Error("the fixture has a port");
      const chooser = new PlaceChooser({ view, port, pools, board: health, clock, random });
      const counts: Record<string, number> = {};
      const request = (): void => {
        const sinceMs = clock.monotonicMs();
        const candidate = chosenBy(chooser);
        if (candidate === undefined) return;
        let over = false;
        const end = (outcome: Outcome): void => {
          if (over) return;
          over = true;
          deadline[Symbol.dispose]();
          counts[outcome] = (counts[outcome] ?? 0) + 1;
          chooser.report(candidate, evidenceOf(outcome, stall, { sinceMs, nowMs: clock.monotonicMs() }));
          if (chooser.inFlight > 200) throw new Error("requests do not end");
        };
        // The wheel's deadline, with its one more turn.
        const deadline = clock.schedule(1_000, () => clock.schedule(0, () => end("timeout")));
        // The other side gives up whoever is silent for three seconds in the middle of a request.
        const patience = host.schedule(3_000, () => clock.whenAwake(() => end("reset")));
        // Two round trips, and this process has to do something between them.
        host.schedule(random.next() * 200, () =>
          clock.whenAwake(() => {
            host.schedule(random.next() * 200, () => {
              patience[Symbol.dispose]();
              clock.whenAwake(() => end("success"));
            });
          }),
        );
      };
      const tick = (): void => {
        for (let at = 0; at < 20; at++) request();
        clock.schedule(400, tick);
      };
      tick();
      const endMs = 15_000 + 3 * sleep.everyMs;
      while (host.monotonicMs() < endMs) {
        await live(host, clock, { ...sleep, random, forMs: 500 });
        for (const place of view.places) expect(health.conditionOf(view, place), `seed ${seed} at ${host.monotonicMs()}`).toMatchObject({ lowered: false });
      }
      expect(counts["success"], `seed ${seed}`).toBeGreaterThan(100);
      if (sleep.lengthMs >= 600) expect((counts["timeout"] ?? 0) + (counts["reset"] ?? 0), `seed ${seed}`).toBeGreaterThan(0);
      for (const pool of pools.pools()) pool.purge();
    }
  }, 60_000);
});
