import { describe, expect, it } from "vitest";
import { isAtollError } from "#federation/runtime/errors.ts";
import { VirtualClock } from "#federation/runtime/virtual-clock.ts";
import { OverloadedError, RequestAdmission, requestAdmissionLimits, type RequestRefusal } from "./request-admission.ts";

const never = new AbortController().signal;

function open() {
  const clock = new VirtualClock();
  const refused: RequestRefusal[] = [];
  return { clock, refused, admission: new RequestAdmission({ what: "writes", clock, onRefused: (reason) => refused.push(reason) }) };
}

async function fill(admission: RequestAdmission, caller = "ci"): Promise<Disposable[]> {
  return await Promise.all(Array.from({ length: admission.limit - admission.inUse }, async () => await admission.enter(caller, never)));
}

/** How one processor fares whose time everything that is under way shares alike, as a plane's does. Advances by `stepMs`. */
class SharedProcessor {
  readonly #workMs: number;
  readonly #work = new Map<() => void, number>();

  constructor(workMs: number) {
    this.#workMs = workMs;
  }

  run(): Promise<void> {
    return new Promise((resolve) => void this.#work.set(resolve, this.#workMs));
  }

  step(stepMs: number): void {
    const shareMs = stepMs / Math.max(1, this.#work.size);
    for (const [resolve, leftMs] of this.#work) {
      if (leftMs > shareMs) this.#work.set(resolve, leftMs - shareMs);
      else {
        this.#work.delete(resolve);
        resolve();
      }
    }
  }
}

/** Asks for `asked` writes a second of a processor that can do 40, as many callers as given in turn; how long each that was done took, by caller. */
async function load({ asked, seconds, callerOf, admission, clock }: { readonly asked: number; readonly seconds: number; readonly callerOf: (at: number) => string; readonly admission: RequestAdmission; readonly clock: VirtualClock }) {
  const processor = new SharedProcessor(25);
  const done = new Map<string, number[]>();
  const stepMs = 5;
  let at = 0;
  for (let nowMs = 0; nowMs < seconds * 1_000; nowMs += stepMs) {
    for (; at < (asked * nowMs) / 1_000; at++) {
      const caller = callerOf(at);
      const askedMs = clock.monotonicMs();
      void admission.enter(caller, never).then(
        async (place) => {
          await processor.run();
          place[Symbol.dispose]();
          done.set(caller, [...(done.get(caller) ?? []), clock.monotonicMs() - askedMs]);
        },
        (error: unknown) => expect(error).toBeInstanceOf(OverloadedError),
      );
    }
    processor.step(stepMs);
    await clock.advance(stepMs);
  }
  return done;
}

describe("RequestAdmission", () => {
  it("lets nobody wait while there is room", async () => {
    const { admission, clock, refused } = open();
    const places = await fill(admission);
    expect([places.length, admission.inUse, admission.waiting]).toEqual([requestAdmissionLimits.first, requestAdmissionLimits.first, 0]);
    for (const place of places) place[Symbol.dispose]();
    places[0]?.[Symbol.dispose]();
    expect([admission.inUse, refused]).toEqual([0, []]);
    await clock.advance(10_000);
    expect(admission.overload).toBeUndefined();
  });

  it("lets in who waits when another ends, and refuses who has waited too long", async () => {
    const { admission, clock, refused } = open();
    const [first] = await fill(admission);
    const [second, third] = [admission.enter("a", never), admission.enter("b", never)];
    third.catch(() => {});
    first?.[Symbol.dispose]();
    await second;
    expect(admission.waiting).toBe(1);
    await clock.advance(requestAdmissionLimits.waitMs);
    await expect(third).rejects.toMatchObject({ code: "ATOLL_ADMIN_OVERLOADED", retryAfterSeconds: 1 });
    expect([admission.waiting, refused]).toEqual([0, ["waited"]]);
  });

  it("forgets who leaves while waiting", async () => {
    const { admission } = open();
    await fill(admission);
    const leaving = new AbortController();
    const gone = admission.enter("a", leaving.signal);
    leaving.abort();
    await expect(gone).rejects.toSatisfy((error) => isAtollError(error, "ATOLL_ABORTED"));
    expect(admission.waiting).toBe(0);
    await expect(admission.enter("a", leaving.signal)).rejects.toSatisfy((error) => isAtollError(error, "ATOLL_ABORTED"));
  });

  it("holds a bounded number of waiting ones, and sends away the newest of whoever has most", async () => {
    const { admission, refused } = open();
    await fill(admission);
    const outcomes: string[] = [];
    const ask = (caller: string): void => void admission.enter(caller, never).then(() => outcomes.push(`${caller} in`), () => outcomes.push(`${caller} refused`));
    for (let at = 0; at < requestAdmissionLimits.waiting; at++) ask("ci");
    ask("on-call");
    await Promise.resolve();
    await Promise.resolve();
    expect([admission.waiting, refused, outcomes]).toEqual([requestAdmissionLimits.waiting, ["full"], ["ci refused"]]);
  });

  it.each([1.5, 3, 10])("does under %s times what it can do as much as it can, and each in bounded time", async (times) => {
    const { admission, clock } = open();
    const done = await load({ asked: 40 * times, seconds: 20, callerOf: () => "ci", admission, clock });
    const took = [...done.values()].flat();
    expect(took.length).toBeGreaterThan(0.95 * 40 * 19);
    // The first second may begin as many as a fast plane could do.
    expect(Math.max(...took.slice(3 * 40))).toBeLessThan(requestAdmissionLimits.waitMs + 1_500);
    expect(admission.overload?.admits).toBeLessThan(admission.overload?.asked ?? 0);
    expect(admission.limit).toBeLessThan(requestAdmissionLimits.first);
  });

  it("keeps a place for whoever asks seldom, however much another asks", async () => {
    const { admission, clock } = open();
    const done = await load({ asked: 400, seconds: 12, callerOf: (at) => (at % 400 === 0 ? "on-call" : "ci"), admission, clock });
    expect(done.get("on-call")?.length).toBeGreaterThanOrEqual(11);
  });

  it("lets in more of those that are fast, and goes back to where it began after overload", async () => {
    const { admission, clock } = open();
    for (let round = 0; round < 40; round++) {
      const places = await fill(admission);
      void admission.enter("ci", never).then((place) => place[Symbol.dispose]());
      await clock.advance(20);
      for (const place of places) place[Symbol.dispose]();
      await clock.advance(20);
    }
    expect(admission.limit).toBeGreaterThan(requestAdmissionLimits.first);
    for (let round = 0; round < 40; round++) {
      const places = await fill(admission);
      void admission.enter("ci", never).then((place) => place[Symbol.dispose](), () => {});
      await clock.advance(3_000);
      for (const place of places) place[Symbol.dispose]();
    }
    expect(admission.limit).toBe(requestAdmissionLimits.min);
    for (let round = 0; round < 40; round++) {
      const place = await admission.enter("ci", never);
      await clock.advance(300);
      place[Symbol.dispose]();
    }
    expect(admission.limit).toBe(requestAdmissionLimits.first);
  });
});
