import { describe, expect, it } from "vitest";
import { partTriesMax } from "../core/answer-parts.ts";
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

  it("arrives over a bus that was away in the midst of it", async () => {
    await over(20, async (link) => {
      link.loses = (request) => request.kind === "part" && request.part === 10 && link.asked.length <= 11;
      await link.until(() => link.asked.length === 11);
      link.receiverBus.setConnected(false);
      await link.clock.advance(8_000);
      expect(link.store.objects.size).toBe(0);
      link.receiverBus.setConnected(true);
      await link.clock.advance(5_000);
      expect(link.store.objects.size).toBe(20);
      expect(link.askedInShort.match(/\?/g)).toHaveLength(1);
    });
  });

  it("is given up when one part is lost too often in a row, and asked for anew", async () => {
    await over(4, async (link) => {
      link.loses = (request) => request.kind === "part" && request.part === 2;
      await link.clock.advance(partGivenUpMs);
      const once = `? 1 ${Array.from({ length: partTriesMax }, () => "2").join(" ")}`;
      expect(link.askedInShort).toMatch(new RegExp(`^${once.replaceAll("?", "\\?")} \\? 1 2`));
      expect(link.status).toMatchObject({ isBehind: true });
      expect(link.store.objects.size).toBe(0);
      link.loses = () => false;
      await link.clock.advance(10_000);
      expect(link.store.objects.size).toBe(4);
    });
  });

  it("is asked for anew at once when its publisher does not keep it any more", async () => {
    await over(20, async (link) => {
      link.loses = (request) => request.kind === "part" && request.part === 10 && link.asked.length <= 11;
      await link.until(() => link.asked.length === 11);
      await link.restartPublisher();
      await link.until(() => link.status?.partsLost === 1);
      await link.clock.advance(1_000);
      expect(link.askedInShort).toBe(`? 1 2 3 4 5 6 7 8 9 10 10 ? ${Array.from({ length: 19 }, (_, index) => index + 1).join(" ")}`);
      expect(link.store.objects.size).toBe(20);
      expect(link.status?.refused.get("staleAnswer")).toBe(1);
    });
  });

  it("ends at once with its receiver, between two tries as well", async () => {
    await over(4, async (link) => {
      link.loses = ({ kind }) => kind === "part";
      await link.until(() => link.status?.partsLost === 1);
      expect(link.askedInShort).toBe("? 1");
      await link.stopReceiver();
      await link.clock.advance(partGivenUpMs);
      expect(link.askedInShort).toBe("? 1");
    });
  });

  it("keeps no operator's word waiting", async () => {
    await over(4, async (link) => {
      link.loses = ({ kind }) => kind === "part";
      await link.until(() => link.askedInShort === "? 1");
      let removed: number | undefined;
      void link.withdrawals.get("shop-eu")?.letGo(undefined).then((count) => void (removed = count));
      await link.until(() => link.asked.length === 3);
      expect(removed).toBe(0);
      expect(link.askedInShort).toBe("? 1 1");
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
        link.loses = ({ kind }) => kind === "part" && (link.asked.length - askedBefore) % (partTriesMax - 1) !== 0;
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
