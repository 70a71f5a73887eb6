import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createSeededRandom } from "../random.ts";
import { VirtualClock } from "../virtual-clock.ts";
import { namesMax, NameResolver, type NameResolverOptions } from "./name-resolver.ts";
import type { FamilyAnswer } from "./name-state.ts";

const name = "gateways.shop.example";
const none: FamilyAnswer = { kind: "none" };
const failed: FamilyAnswer = { kind: "failed", reason: "ESERVFAIL" };

let clock: VirtualClock;
let answers: Map<string, FamilyAnswer>;
let asked: string[];
let changes: string[];
let opened: NameResolver[];

beforeEach(() => {
  clock = new VirtualClock();
  answers = new Map();
  asked = [];
  changes = [];
  opened = [];
});

afterEach(() => {
  for (const resolver of opened) resolver[Symbol.dispose]();
});

function open(more: Partial<NameResolverOptions> = {}): NameResolver {
  const resolver = new NameResolver({
    lookup: async (asking) => {
      asked.push(asking);
      return { v4: answers.get(asking) ?? none, v6: none };
    },
    clock,
    random: createSeededRandom(3),
    onChange: (changed, { problem }) => changes.push(`${changed}: ${problem ?? "resolves"}`),
    ...more,
  });
  opened.push(resolver);
  return resolver;
}

const answer = (ttlMs: number, ...addresses: string[]): void => void answers.set(name, { kind: "found", addresses, ttlMs });
const addressesOf = (resolver: NameResolver): readonly string[] | undefined => resolver.names.current.get(name)?.addresses;

describe("a resolver", () => {
  it("asks at once for a new name, and again when the time to live of each answer is over", async () => {
    answer(10_000, "10.0.0.1");
    const resolver = open();
    resolver.follow(new Set([name]));
    await clock.advance(0);
    expect(addressesOf(resolver)).toEqual(["10.0.0.1"]);
    answer(10_000, "10.0.0.2", "10.0.0.3");
    await clock.advance(9_999);
    expect(asked).toHaveLength(1);
    await clock.advance(501);
    expect(asked).toHaveLength(2);
    expect(addressesOf(resolver)).toEqual(["10.0.0.2", "10.0.0.3"]);
  });

  it("keeps addresses through an outage of DNS, says once that it began and once that it is over, and counts", async () => {
    answer(1_000, "10.0.0.1");
    const resolver = open();
    resolver.follow(new Set([name]));
    await clock.advance(0);
    answers.set(name, failed);
    await clock.advance(3_600_000);
    expect(addressesOf(resolver)).toEqual(["10.0.0.1"]);
    expect(resolver.names.current.get(name)?.problem).toBe("ESERVFAIL");
    expect(resolver.counts.failed).toBeGreaterThan(100);
    answers.delete(name);
    await clock.advance(60_000);
    expect(addressesOf(resolver)).toEqual(["10.0.0.1"]);
    expect(resolver.counts.missing).toBeGreaterThan(2);
    answer(1_000, "10.0.0.2");
    await clock.advance(18_750);
    expect(addressesOf(resolver)).toEqual(["10.0.0.2"]);
    expect(changes).toEqual([`${name}: ESERVFAIL`, `${name}: resolves`]);
  });

  it("begins with what an earlier life knew", async () => {
    answers.set(name, failed);
    const resolver = open({ known: new Map([[name, { addresses: ["10.0.0.9"], asOfMs: 5 }]]) });
    resolver.follow(new Set([name]));
    expect(resolver.names.current.get(name)).toEqual({ addresses: ["10.0.0.9"], asOfMs: 5, asked: false, problem: undefined });
    await clock.advance(0);
    expect(resolver.names.current.get(name)).toMatchObject({ addresses: ["10.0.0.9"], asked: true, problem: "ESERVFAIL" });
  });

  it("asks no more for names that are not followed, also when an answer was under way", async () => {
    answer(1_000, "10.0.0.1");
    const resolver = open();
    resolver.follow(new Set([name]));
    resolver.follow(new Set());
    await clock.advance(60_000);
    expect(asked).toEqual([name]);
    expect(resolver.names.current.size).toBe(0);
  });

  it("leaves out names beyond its bound, and counts them", () => {
    const resolver = open();
    resolver.follow(new Set(Array.from({ length: namesMax + 3 }, (_, index) => `n${index}.example`)));
    expect(resolver.names.current.size).toBe(namesMax);
    expect(resolver.leftOut).toBe(3);
  });
});
