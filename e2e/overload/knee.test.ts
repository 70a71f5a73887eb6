import { expect, test } from "vitest";
import { findKnee } from "./knee.ts";

for (const [where, guess] of [["far below", 20], ["near", 155], ["far above", 2_000]] as const) {
  test(`finds the knee from a guess ${where}`, async () => {
    const asked: number[] = [];
    const knee = await findKnee({ guess, halvings: 3, carries: (rate) => Promise.resolve(asked.push(rate) > 0 && rate <= 160) });
    expect(knee).toBeGreaterThan(155);
    expect(knee).toBeLessThanOrEqual(160);
    expect(asked.length).toBeLessThan(25);
  });
}

test("says when nothing is carried", async () => {
  await expect(findKnee({ guess: 100, halvings: 3, carries: () => Promise.resolve(false) })).rejects.toThrow("does not even carry");
});

test("searches again when more is carried at the end than it was told", async () => {
  let asked = 0;
  const carries = (rate: number): Promise<boolean> => Promise.resolve(rate <= (asked++ < 5 ? 100 : 300));
  const knee = await findKnee({ guess: 100, halvings: 3, carries });
  expect(knee).toBeGreaterThan(280);
  expect(knee).toBeLessThanOrEqual(300);
});
