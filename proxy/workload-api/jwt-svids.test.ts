import { beforeEach, describe, expect, it } from "vitest";
import { AtollError } from "#federation/runtime/errors.ts";
import { createSeededRandom } from "#federation/runtime/random.ts";
import { VirtualClock } from "#federation/runtime/virtual-clock.ts";
import { jwtAsksMax, JwtSvids, jwtSvidsMax, type IssueJwt } from "./jwt-svids.ts";

const lifeMs = 300_000;
const { signal } = new AbortController();
const away = expect.objectContaining({ code: "ATOLL_PEER_UNAVAILABLE" });

describe("the JWT-SVIDs of a sidecar", () => {
  let clock: VirtualClock;
  let asked: string[];
  let isAway: boolean;
  let evicted: number;
  let tokens: JwtSvids;
  const issue: IssueJwt = async (audience) => {
    asked.push(audience.join());
    await Promise.resolve();
    if (isAway) throw new AtollError("ATOLL_PEER_UNAVAILABLE", "away");
    return { token: `${audience.join()}#${asked.length}`, issuedAtMs: clock.nowMs(), expiresAtMs: clock.nowMs() + lifeMs };
  };

  beforeEach(() => {
    clock = new VirtualClock();
    asked = [];
    isAway = false;
    evicted = 0;
    tokens = new JwtSvids({ issue, clock, random: createSeededRandom(3), signal, onKept: (what) => (evicted += what === "evicted" ? 1 : 0) });
  });

  it("are kept by audience until half of their life is over", async () => {
    expect(await tokens.get(["a"])).toBe("a#1");
    expect(await tokens.get(["b"])).toBe("b#2");
    expect(await tokens.get(["a", "b"]), "another audience than either").toBe("a,b#3");
    await clock.advance(lifeMs / 2 - 1);
    expect(await tokens.get(["a"])).toBe("a#1");
    await clock.advance(1);
    expect(await tokens.get(["a"])).toBe("a#4");
  });

  it("are asked for once by all who want the same at the same time", async () => {
    expect(await Promise.all([tokens.get(["a"]), tokens.get(["a"]), tokens.get(["a"])])).toEqual(["a#1", "a#1", "a#1"]);
    expect(asked).toEqual(["a"]);
  });

  it("are given until their end while the plane gives no newer ones, and not beyond it", async () => {
    await tokens.get(["a"]);
    isAway = true;
    await clock.advance(lifeMs - 1);
    expect(await tokens.get(["a"])).toBe("a#1");
    expect(asked.length, "the plane was asked first").toBe(2);
    await clock.advance(1);
    await expect(tokens.get(["a"])).rejects.toEqual(away);
  });

  it("are not given after the wall clock has passed their end, as that of a machine that slept has", async () => {
    await tokens.get(["a"]);
    isAway = true;
    clock.jumpWall(lifeMs);
    await expect(tokens.get(["a"])).rejects.toEqual(away);
  });

  it("leave a plane alone after each failure, for longer each time, and no longer once it has answered", async () => {
    isAway = true;
    const askedIn = async (seconds: number): Promise<number> => {
      const before = asked.length;
      for (let step = 0; step < seconds * 10; step++) {
        await expect(tokens.get([`a${step}`])).rejects.toEqual(away);
        await clock.advance(100);
      }
      return asked.length - before;
    };
    const first = await askedIn(4);
    expect(first).toBeGreaterThan(1);
    expect(first).toBeLessThan(8);
    expect(await askedIn(40)).toBeLessThan(10);
    isAway = false;
    await clock.advance(12_000);
    expect(await tokens.get(["a"])).toMatch(/^a#/);
    expect(await tokens.get(["b"])).toMatch(/^b#/);
  });

  it("are bounded in number, those used last staying, and so are the questions on their way", async () => {
    for (let n = 0; n < jwtSvidsMax; n++) await tokens.get([`a${n}`]);
    expect(await tokens.get(["a0"])).toBe("a0#1");
    await tokens.get(["one more"]);
    expect([tokens.size, evicted]).toEqual([jwtSvidsMax, 1]);
    expect(await tokens.get(["a0"]), "used last").toBe("a0#1");
    expect(await tokens.get(["a1"]), "used first").not.toBe("a1#2");
    const many = await Promise.allSettled(Array.from({ length: jwtAsksMax + 1 }, (_, n) => tokens.get([`b${n}`])));
    expect(many.filter(({ status }) => status === "rejected")).toEqual([{ status: "rejected", reason: away }]);
  });
});
