import { experimental } from "@grpc/grpc-js";
import { beforeEach, describe, expect, it } from "vitest";
import type { FamilyAnswer } from "#federation/runtime/dns/name-state.ts";
import { VirtualClock } from "#federation/runtime/virtual-clock.ts";
import { dialingOptions, hostsTarget } from "./host-resolver.ts";

const name = "plane.shop.example";
const none: FamilyAnswer = { kind: "none" };
const found = (...addresses: string[]): FamilyAnswer => ({ kind: "found", addresses, ttlMs: 1_000 });

let clock: VirtualClock;
let answer: FamilyAnswer;
let asked: number;
/** What the channel was told: addresses, or the text of an error. */
let told: (readonly string[] | string)[];

beforeEach(() => {
  clock = new VirtualClock();
  answer = none;
  asked = 0;
  told = [];
});

function open(...addresses: readonly string[]): ReturnType<typeof experimental.createResolver> {
  const lookup = async (): Promise<{ readonly v4: FamilyAnswer; readonly v6: FamilyAnswer }> => {
    asked++;
    return { v4: answer, v6: none };
  };
  const [scheme = "", path = ""] = hostsTarget(addresses).split(/:(.*)/s);
  const listener: experimental.ResolverListener = (result) => {
    told.push(result.ok ? result.value.map((endpoint) => endpoint.addresses.map((address) => ("host" in address ? `${address.host} ${address.port}` : address.path)).join()) : result.error.details);
    return true;
  };
  return experimental.createResolver({ scheme, path }, listener, dialingOptions({ clock, lookup }));
}

describe("the hosts of a plane", () => {
  it("are dialled in their order, names with every address, both families in one list", async () => {
    answer = found("10.0.0.2", "10.0.0.1");
    open("[fd00::1]:7410", `${name}:7411`, "10.0.0.9:7410").updateResolution();
    await clock.advance(0);
    expect(told).toEqual([["fd00::1 7410", "10.0.0.1 7411", "10.0.0.2 7411", "10.0.0.9 7410"]]);
  });

  it("are looked up at most once a second, and told again only when they have changed", async () => {
    answer = found("10.0.0.1");
    const resolver = open(`${name}:7410`);
    resolver.updateResolution();
    await clock.advance(0);
    for (let count = 0; count < 5; count++) resolver.updateResolution();
    await clock.advance(999);
    expect(asked).toBe(1);
    await clock.advance(1);
    expect(asked).toBe(2);
    expect(told).toHaveLength(1);
    answer = found("10.0.0.2");
    resolver.updateResolution();
    await clock.advance(1_000);
    expect(told).toEqual([["10.0.0.1 7410"], ["10.0.0.2 7410"]]);
    await clock.advance(60_000);
    expect(asked).toBe(3);
  });

  it("keep what a name stood for when a look-up gives nothing", async () => {
    answer = found("10.0.0.1");
    const resolver = open(`${name}:7410`);
    resolver.updateResolution();
    await clock.advance(1_000);
    answer = { kind: "failed", reason: "ESERVFAIL" };
    resolver.updateResolution();
    await clock.advance(1_000);
    expect(told).toEqual([["10.0.0.1 7410"]]);
  });

  it("that have no address are named in the error, and looked up until they have one", async () => {
    const resolver = open(`${name}:7410`);
    resolver.updateResolution();
    await clock.advance(3_000);
    expect(told[0]).toBe(`ATOLL_NAME_UNRESOLVED: ${name} does not resolve (no such name, or no address under it)`);
    answer = found("10.0.0.1");
    await clock.advance(1_000);
    expect(told.at(-1)).toEqual(["10.0.0.1 7410"]);
  });

  it("are left alone by a channel that is closed, and told anew to one that wakes up", async () => {
    answer = found("10.0.0.1");
    const resolver = open(`${name}:7410`);
    resolver.updateResolution();
    resolver.destroy();
    await clock.advance(5_000);
    expect(told).toEqual([]);
    resolver.updateResolution();
    await clock.advance(0);
    resolver.destroy();
    resolver.updateResolution();
    await clock.advance(0);
    expect(told).toEqual([["10.0.0.1 7410"], ["10.0.0.1 7410"]]);
  });
});
