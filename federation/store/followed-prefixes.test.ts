import { describe, expect, it } from "vitest";
import { VirtualClock } from "#federation/runtime/virtual-clock.ts";
import { FollowedPrefixes, unfollowedMsMin } from "./followed-prefixes.ts";

describe("an account of what is followed of a store", () => {
  it("names what was lost for long, since when and why it failed last, and no more once it follows", async () => {
    const clock = new VirtualClock();
    const account = new FollowedPrefixes(clock);
    const report = account.begin("a/");
    report.lost("first");
    await clock.advance(unfollowedMsMin - 1);
    report.lost("last");
    expect(account.unfollowed).toEqual([]);
    await clock.advance(1);
    expect(account.unfollowed).toEqual([{ prefix: "a/", ageMs: unfollowedMsMin, reason: "last" }]);
    report.follows();
    expect(account.unfollowed).toEqual([]);
  });

  it("says nothing of a watch that comes again and again in time, that reports nothing, or that nobody wants any more", async () => {
    const clock = new VirtualClock();
    const account = new FollowedPrefixes(clock);
    const broken = account.begin("broken/");
    account.begin("silent/");
    const ended = account.begin("ended/");
    ended.lost("gone");
    for (let times = 0; times < 10; times++) {
      broken.lost("again");
      await clock.advance(unfollowedMsMin - 1);
      broken.follows();
    }
    expect(account.unfollowed.map(({ prefix }) => prefix)).toEqual(["ended/"]);
    ended[Symbol.dispose]();
    expect(account.unfollowed).toEqual([]);
  });

  it("names a prefix once, by the watch of it that was lost first, and the oldest of all before the others", async () => {
    const clock = new VirtualClock();
    const account = new FollowedPrefixes(clock);
    for (const [prefix, reason] of [["b/", "1"], ["a/", "2"], ["b/", "3"]] as const) {
      account.begin(prefix).lost(reason);
      await clock.advance(1_000);
    }
    await clock.advance(unfollowedMsMin);
    expect(account.unfollowed).toEqual([
      { prefix: "b/", ageMs: unfollowedMsMin + 3_000, reason: "1" },
      { prefix: "a/", ageMs: unfollowedMsMin + 2_000, reason: "2" },
    ]);
  });

  it("gives a listing that comes part by part the time that it takes, and one that fails again and again behind its first parts none", async () => {
    const clock = new VirtualClock();
    const account = new FollowedPrefixes(clock);
    const [large, failing] = [account.begin("large/"), account.begin("failing/")];
    for (const report of [large, failing]) report.lost("its history was compacted");
    for (let parts = 0; parts < 60; parts++) {
      await clock.advance(1_000);
      large.reads();
      failing.reads();
      if (parts % 5 === 4) failing.lost("no answer");
      // Once it is named it stays so, whatever is read in between.
      expect(account.unfollowed.map(({ prefix }) => prefix)).toEqual(parts < unfollowedMsMin / 1_000 - 1 ? [] : ["failing/"]);
    }
    await clock.advance(unfollowedMsMin - 1);
    expect(account.unfollowed).toEqual([{ prefix: "failing/", ageMs: 60_000 + unfollowedMsMin - 1, reason: "no answer" }]);
    failing.follows();
    failing.lost("broken off");
    await clock.advance(1);
    expect(account.unfollowed).toEqual([{ prefix: "large/", ageMs: 60_000 + unfollowedMsMin, reason: "its history was compacted" }]);
  });

  it("says nothing while the whole store is away, nor just after that, and forgets no time in which it answered", async () => {
    const clock = new VirtualClock();
    const account = new FollowedPrefixes(clock);
    account.begin("a/").lost("nothing answers");
    await clock.advance(2_000);
    account.setAway(clock.monotonicMs() - 2_000);
    await clock.advance(600_000);
    expect(account.unfollowed).toEqual([]);
    account.setAway(undefined);
    await clock.advance(unfollowedMsMin - 1);
    expect(account.unfollowed).toEqual([]);
    // Away for a moment now and then, as a store that refuses much may look.
    for (let times = 0; times < 3; times++) {
      account.setAway(clock.monotonicMs());
      await clock.advance(300);
      account.setAway(undefined);
    }
    await clock.advance(1);
    expect(account.unfollowed).toEqual([{ prefix: "a/", ageMs: 602_000 + unfollowedMsMin + 900, reason: "nothing answers" }]);
  });
});
