import { once } from "node:events";
import { Worker } from "node:worker_threads";
import { expect, it } from "vitest";
import type { HeldBatches } from "./held-batches-fixture.ts";

it("is not held by those who follow a store, what they were told first, while they wait for more", async () => {
  const worker = new Worker(new URL("./held-batches-fixture.ts", import.meta.url), { execArgv: [] });
  const seen: HeldBatches[] = [];
  worker.on("message", (held: HeldBatches) => seen.push(held));
  await once(worker, "exit");
  expect(seen[0]).toEqual({ told: 2, heldEvents: 0, heldItems: 0, toldLater: 1 });
});
