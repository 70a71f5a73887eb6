import { describe, expect, it } from "vitest";
import { partsAheadMax, partTimeoutMs, partTriesMax } from "../core/answer-parts.ts";
import { answerKeptMs } from "../core/kept-answers.ts";
import { brakeWindowMs, type BrakeRules } from "../core/withdrawal-brake.ts";
import { LosingLink } from "./losing-link-fixture.ts";

/** With the last of all tries, and the waits between them. */
const partGivenUpMs = 60_000;

async function over(objects: number, judge: (link: LosingLink) => Promise<void>, brake?: BrakeRules): Promise<void> {
  const link = new LosingLink(objects, brake);
  try {
    await judge(link);
  } finally {
    await link.stop();
  }
}

describe("an answer of many parts", () => {
  it.each([2, 3, 7])("arrives over a link that loses one of %i answers, by one question, however long that takes", async (every) => {
    await over(60, async (link) => {
      link.loses = ({ kind }) => kind === "part" && link.asked.length % every === 0;
      await link.clock.advance(6 * answerKeptMs);
      expect(link.store.objects.size).toBe(60);
      expect(link.askedInShort.match(/\?/g)).toHaveLength(1);
      expect(link.status).toMatchObject({ isBehind: false, partsLost: Math.floor(link.asked.length / every) });
    });
  });

  it.each([
    [150, 200],
    [500, 41],
    [600, 8],
  ])("arrives in a quarter of its round trips, of %i ms each, once so many are asked for at once: %i parts", async (roundTripMs, parts) => {
    await over(parts, async (link) => {
      const trips: number[] = [];
      link.answerMs = () => {
        trips.push(link.clock.monotonicMs());
        return roundTripMs;
      };
      await link.until(() => link.status?.isBehind === false);
      expect(link.store.objects.size).toBe(parts);
      // The question, one trip with two parts, and four with each of the others.
      expect(new Set(trips).size).toBeLessThanOrEqual(2 + Math.ceil((parts - 3) / partsAheadMax));
      expect(link.status?.partsLost).toBe(0);
      expect(link.mostAtOnce).toBe(partsAheadMax);
    });
  });

  it.each([0.3, 0.4, 0.6, 0.9, 2, 4.5])("arrives without a loss over a link that is full, on which one part takes %f s", async (partSeconds) => {
    await over(30, async (link) => {
      let freeMs = 0;
      link.answerMs = () => {
        const nowMs = link.clock.monotonicMs();
        freeMs = Math.max(freeMs, nowMs) + partSeconds * 1_000;
        return freeMs - nowMs;
      };
      await link.clock.advance(30 * partSeconds * 1_000 + 5_000);
      expect(link.store.objects.size).toBe(30);
      expect(link.status).toMatchObject({ isBehind: false, partsLost: 0 });
      expect(link.asked).toHaveLength(30);
    });
  });

  it("arrives over a bus that was away in the midst of it", async () => {
    await over(20, async (link) => {
      link.loses = (request) => request.kind === "part" && request.part >= 10 && request.part < 10 + partsAheadMax && link.timesAsked(request.part) === 1;
      await link.until(() => link.timesAsked(10) === 1);
      link.receiverBus.setConnected(false);
      await link.clock.advance(8_000);
      expect(link.store.objects.size).toBe(0);
      link.receiverBus.setConnected(true);
      await link.clock.advance(5_000);
      expect(link.store.objects.size).toBe(20);
      expect(link.askedInShort.match(/\?/g)).toHaveLength(1);
    });
  });

  it.each([4_000, 20_000, 45_000])("goes on where it was over a link that was dead in the midst of it for %i ms, as soon as a try may end and the next one begin", async (deadMs) => {
    await over(20, async (link) => {
      link.answerMs = () => 100;
      await link.until(() => link.timesAsked(10) === 1);
      link.answerMs = () => partTimeoutMs;
      link.hub.faults = () => [];
      await link.clock.advance(deadMs);
      expect(link.store.objects.size).toBe(0);
      link.hub.faults = () => [0];
      link.answerMs = () => 0;
      await link.clock.advance(2 * partTimeoutMs);
      expect(link.store.objects.size).toBe(20);
      expect(link.askedInShort.match(/\?/g)).toHaveLength(1);
      // What had come is not asked for again.
      expect([1, 2, 3, 4, 5, 6].map((part) => link.timesAsked(part))).toEqual([1, 1, 1, 1, 1, 1]);
    });
  });

  it("is given up when one part is lost too often in a row, and asked for anew", async () => {
    await over(4, async (link) => {
      link.loses = (request) => request.kind === "part" && request.part === 2;
      await link.clock.advance(partGivenUpMs);
      const again = Array.from({ length: partTriesMax - 1 }, () => "2").join(" ");
      expect(link.askedInShort).toMatch(new RegExp(`^\\? 1 2 3 ${again} \\? 1 2 3`));
      expect(link.status).toMatchObject({ isBehind: true });
      expect(link.store.objects.size).toBe(0);
      link.loses = () => false;
      await link.clock.advance(10_000);
      expect(link.store.objects.size).toBe(4);
    });
  });

  it("is asked for anew at once when its publisher does not keep it any more", async () => {
    await over(20, async (link) => {
      link.loses = (request) => request.kind === "part" && request.part === 10 && link.timesAsked(10) === 1;
      await link.until(() => link.timesAsked(10) === 1);
      await link.restartPublisher();
      await link.until(() => link.status?.partsLost === 1);
      await link.clock.advance(1_000);
      const all = Array.from({ length: 19 }, (_, index) => index + 1).join(" ");
      expect(link.askedInShort).toBe(`? ${all} 10 ? ${all}`);
      expect(link.store.objects.size).toBe(20);
      expect(link.status?.refused.get("staleAnswer")).toBe(1);
    });
  });

  it("ends at once with its receiver, between two tries as well", async () => {
    await over(4, async (link) => {
      link.loses = ({ kind }) => kind === "part";
      await link.until(() => link.status?.partsLost === 2);
      expect(link.askedInShort).toBe("? 1 2");
      await link.stopReceiver();
      await link.clock.advance(partGivenUpMs);
      expect(link.askedInShort).toBe("? 1 2");
    });
  });

  it("keeps no operator's word waiting", async () => {
    await over(4, async (link) => {
      link.loses = ({ kind }) => kind === "part";
      await link.until(() => link.askedInShort === "? 1 2");
      let removed: number | undefined;
      void link.withdrawals.get("shop-eu")?.letGo(undefined).then((count) => void (removed = count));
      await link.until(() => removed !== undefined);
      expect([removed, link.askedInShort]).toEqual([0, "? 1 2"]);
    });
  });

  it("is followed by the frames that waited behind it, stored together", async () => {
    await over(4, async (link) => {
      link.loses = (request) => request.kind === "part" && request.part === 3 && link.asked.length <= 4;
      await link.until(() => link.asked.length === 4);
      const { commits } = link.store;
      for (let frames = 0; frames < 20; frames++) {
        link.put(1);
        await link.clock.advance(100);
      }
      expect(link.store.commits).toBe(commits);
      await link.until(() => link.store.objects.size === 24);
      // The answer, and what came after it.
      expect(link.store.commits).toBe(commits + 2);
      expect(link.askedInShort).toBe("? 1 2 3 3");
    });
  });

  it("takes together what was withdrawn together, however long it was fetched", async () => {
    await over(
      20,
      async (link) => {
        await link.until(() => link.status?.isBehind === false);
        link.hub.faults = ({ subject }) => (subject === link.subjects.frame ? [] : [0]);
        link.withdraw(3);
        link.put(3);
        const askedBefore = link.asked.length;
        // Too slow for another beside it.
        link.answerMs = () => partTimeoutMs / 2;
        // Of each part the last try but one comes.
        const tries = new Map<number, number>();
        link.loses = (request) => {
          if (request.kind !== "part") return false;
          tries.set(request.part, (tries.get(request.part) ?? 0) + 1);
          return tries.get(request.part) !== partTriesMax - 1;
        };
        await link.until(() => link.asked.length > askedBefore);
        link.hub.faults = () => [0];
        link.withdraw(3);
        await link.clock.advance(brakeWindowMs + 5_000);
        expect(link.status).toMatchObject({ isBehind: true });
        await link.clock.advance(2 * brakeWindowMs);
        expect(link.status).toMatchObject({ isBehind: false, heldBack: 3 });
      },
      { rightsKinds: [], freeMax: 0 },
    );
  });

  it("does not make what was heard while it was fetched look younger than it is", async () => {
    await over(1, async (link) => {
      await link.clock.advance(3_000);
      expect(link.status).toMatchObject({ isBehind: false, partsLost: 0 });
      link.loses = ({ kind }) => kind === "part";
      link.hub.faults = ({ subject }) => (subject === link.subjects.frame ? [] : [0]);
      link.put(20);
      await link.clock.advance(10_000);
      expect(link.status).toMatchObject({ isBehind: true });
      link.receiverBus.setConnected(false);
      const cutMs = link.clock.monotonicMs();
      await link.clock.advance(partGivenUpMs);
      const { heardAtMonotonicMs = 0 } = link.status ?? {};
      expect(heardAtMonotonicMs).toBeLessThanOrEqual(cutMs);
      expect(heardAtMonotonicMs).toBeGreaterThan(cutMs - 2_000);
    });
  });
});
