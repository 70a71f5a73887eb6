import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Bus, BusMessage } from "./bus.ts";
import { subscriptionQueueMax, type BusObserver } from "./bus-observer.ts";
import { payloadBytesMax } from "./subject.ts";

/** Opens a bus that meets the others which the same test opened; the suite closes it. */
export type OpenContractBus = (observer: BusObserver) => Promise<Bus>;

/**
 * What every adapter of `Bus` must do. `subjectPrefix` sets tests apart that share one server.
 * `openGroup` runs before each test and gives the way to open its buses; its disposal runs after.
 */
export function describeBusContract(name: string, openGroup: () => Promise<{ readonly open: OpenContractBus } & AsyncDisposable>): void {
  describe(`bus contract: ${name}`, () => {
    let group: Awaited<ReturnType<typeof openGroup>>;
    let a: Bus;
    let b: Bus;
    let stop: AbortController;
    let signal: AbortSignal;
    const drops = { a: 0, b: 0 };

    beforeEach(async () => {
      stop = new AbortController();
      signal = stop.signal;
      Object.assign(drops, { a: 0, b: 0 });
      group = await openGroup();
      a = await group.open({ dropped: (count) => void (drops.a += count), reconnected() {} });
      b = await group.open({ dropped: (count) => void (drops.b += count), reconnected() {} });
      await connected(a, signal);
      await connected(b, signal);
    });

    afterEach(async () => {
      stop.abort();
      await Promise.all([a[Symbol.asyncDispose](), b[Symbol.asyncDispose]()]);
      await group[Symbol.asyncDispose]();
    });

    /** Subscribes and returns once messages from `from` surely arrive: interest travels on its own time. */
    const listen = async (bus: Bus, pattern: string, from: Bus = a): Promise<MessageReader> => {
      const reader = new MessageReader(bus.subscribe(pattern, signal));
      await settleInterest(from, bus, signal);
      return reader;
    };

    it("delivers to every subscriber, its own ones too, in the order of one publisher", async () => {
      const readers = await Promise.all([listen(b, "t.x"), listen(b, "t.*"), listen(a, "t.>")]);
      for (let index = 0; index < 200; index++) a.publish("t.x", bytes(`${index}`));
      const expected = Array.from({ length: 200 }, (_, index) => `t.x ${index}`);
      for (const reader of readers) expect(await reader.take(200)).toEqual(expected);
    });

    it("keeps subjects apart", async () => {
      const reader = await listen(b, "t.up.eu.>");
      for (const subject of ["t.up.us.frame", "t.up.eu", "t.up.eu.frame", "t.up.europe.frame", "t.up.eu.fetch.more"]) a.publish(subject, bytes("x"));
      expect(await reader.take(2)).toEqual(["t.up.eu.frame x", "t.up.eu.fetch.more x"]);
    });

    it("carries payloads byte for byte, from nothing up to the bound", async () => {
      const reader = await listen(b, "t.bytes");
      const large = new Uint8Array(payloadBytesMax).map((_, index) => index % 253);
      for (const payload of [new Uint8Array(), Uint8Array.of(0, 13, 10, 255), large]) {
        a.publish("t.bytes", payload);
        expect(Buffer.compare((await reader.next()).payload, payload)).toBe(0);
      }
    });

    it("does not keep the publisher's own buffer", async () => {
      const reader = await listen(b, "t.own");
      const payload = bytes("before");
      a.publish("t.own", payload);
      payload.fill(0);
      expect(await reader.take(1)).toEqual(["t.own before"]);
    });

    it("refuses what is not a subject, not a pattern, or too large", () => {
      for (const subject of ["", "a..b", ".a", "a.", "a b", "a.*", "a.>", "a\r\nPUB b 0", "ä", "x".repeat(600)]) {
        expect(() => a.publish(subject, bytes("x")), subject).toThrow(expect.objectContaining({ code: "ATOLL_BUS_MESSAGE_INVALID" }));
      }
      for (const pattern of ["", "a.>.b", "a..*", "a*", "a.b>"]) {
        expect(() => a.subscribe(pattern, signal), pattern).toThrow(expect.objectContaining({ code: "ATOLL_BUS_MESSAGE_INVALID" }));
      }
      expect(() => a.publish("t.big", new Uint8Array(payloadBytesMax + 1))).toThrow(expect.objectContaining({ code: "ATOLL_BUS_MESSAGE_INVALID" }));
    });

    it("answers requests, many at once", async () => {
      const requests = await listen(b, "t.fetch");
      const serving = (async () => {
        for (let count = 0; count < 100; count++) {
          const message = await requests.next();
          message.reply(bytes(`re:${text(message.payload)}`));
        }
      })();
      const answers = await Promise.all(Array.from({ length: 100 }, (_, index) => a.request("t.fetch", bytes(`${index}`), 30_000, signal)));
      await serving;
      expect(answers.map(text)).toEqual(Array.from({ length: 100 }, (_, index) => `re:${index}`));
    });

    it("gives the first answer when several answer", async () => {
      const first = await listen(a, "t.both");
      const second = await listen(b, "t.both");
      const answer = a.request("t.both", bytes("?"), 30_000, signal);
      (await first.next()).reply(bytes("first"));
      expect(text(await answer)).toBe("first");
      (await second.next()).reply(bytes("second"));
    });

    it("says at once that nobody listens for a request", async () => {
      await expect(a.request("t.nobody", bytes("?"), 3_600_000, signal)).rejects.toMatchObject({ code: "ATOLL_BUS_UNAVAILABLE" });
    });

    it("says when no answer came in time", async () => {
      await listen(b, "t.silent");
      await expect(a.request("t.silent", bytes("?"), 1, signal)).rejects.toMatchObject({ code: "ATOLL_BUS_TIMEOUT" });
    });

    it("ends a request whose signal aborts", async () => {
      await listen(b, "t.silent");
      const own = new AbortController();
      const answer = a.request("t.silent", bytes("?"), 3_600_000, own.signal);
      own.abort();
      await expect(answer).rejects.toMatchObject({ code: "ATOLL_ABORTED" });
    });

    it("ignores a reply to a plain publication", async () => {
      const reader = await listen(b, "t.plain");
      a.publish("t.plain", bytes("1"));
      (await reader.next()).reply(bytes("nobody asked"));
      a.publish("t.plain", bytes("2"));
      expect(await reader.take(1)).toEqual(["t.plain 2"]);
    });

    it("ends a subscription when its signal aborts, and only that one", async () => {
      const own = new AbortController();
      const ending = new MessageReader(b.subscribe("t.ends", own.signal));
      const staying = await listen(b, "t.ends");
      const end = ending.end();
      own.abort();
      expect(await end).toBe(true);
      a.publish("t.ends", bytes("still"));
      expect(await staying.take(1)).toEqual(["t.ends still"]);
    });

    it("drops the newest for a slow reader beyond its bound, and counts them", async () => {
      const slow = await listen(b, "t.slow");
      const beside = await listen(b, "t.end");
      const extra = 100;
      for (let index = 0; index < subscriptionQueueMax + extra; index++) a.publish("t.slow", bytes(`${index}`));
      a.publish("t.end", bytes("."));
      await beside.next();
      expect(drops.b).toBe(extra);
      const got = await slow.take(subscriptionQueueMax);
      expect([got[0], got.at(-1)]).toEqual(["t.slow 0", `t.slow ${subscriptionQueueMax - 1}`]);
      a.publish("t.slow", bytes("after"));
      expect(await slow.take(1)).toEqual(["t.slow after"]);
    });

    it("may be closed twice; its readers end and its requests fail", async () => {
      const reader = new MessageReader(b.subscribe("t.close", signal));
      const end = reader.end();
      await listen(a, "t.silent", b);
      const request = b.request("t.silent", bytes("?"), 3_600_000, signal);
      const refused = expect(request).rejects.toMatchObject({ code: "ATOLL_BUS_UNAVAILABLE" });
      await b[Symbol.asyncDispose]();
      await b[Symbol.asyncDispose]();
      expect(await end).toBe(true);
      await refused;
      expect(b.state.current).toBe("disconnected");
    });
  });
}

/** Reads a subscription message by message; tests of adapters use it too. */
export class MessageReader {
  readonly #iterator: AsyncIterator<BusMessage>;

  constructor(messages: AsyncIterable<BusMessage>) {
    this.#iterator = messages[Symbol.asyncIterator]();
  }

  async next(): Promise<BusMessage> {
    const result = await this.#iterator.next();
    if (result.done === true) throw new Error("the subscription has ended");
    return result.value;
  }

  /** The next `count` messages as `subject payload`. */
  async take(count: number): Promise<readonly string[]> {
    const taken: string[] = [];
    while (taken.length < count) {
      const message = await this.next();
      taken.push(`${message.subject} ${text(message.payload)}`);
    }
    return taken;
  }

  async end(): Promise<boolean> {
    return (await this.#iterator.next()).done === true;
  }
}

/** Resolves when `bus` is connected. */
export async function connected(bus: Bus, signal: AbortSignal): Promise<void> {
  for await (const state of bus.state.changes(signal)) if (state === "connected") return;
}

let probes = 0;

/** Resolves when what `to` subscribed to before this call reaches it from `from`: a probe takes the same way. */
export async function settleInterest(from: Bus, to: Bus, signal: AbortSignal): Promise<void> {
  const ended = new AbortController();
  const subject = `probe.${process.pid}.${++probes}`;
  const reader = new MessageReader(to.subscribe(subject, AbortSignal.any([signal, ended.signal])));
  const arrival = reader.next();
  const probe = { hasArrived: false };
  void arrival.then(
    () => void (probe.hasArrived = true),
    () => undefined,
  );
  while (!probe.hasArrived && !signal.aborted) {
    from.publish(subject, new Uint8Array());
    await new Promise((resolve) => {
      setImmediate(resolve);
    });
  }
  ended.abort();
}

function bytes(value: string): Uint8Array {
  return new TextEncoder().encode(value);
}

function text(value: Uint8Array): string {
  return new TextDecoder().decode(value);
}
