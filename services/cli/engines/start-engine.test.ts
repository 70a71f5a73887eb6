import { createServer } from "node:net";
import { expect, it } from "vitest";
import { closeServer, listen } from "#federation/runtime/listen.ts";
import { findFreePort } from "./start-engine.ts";

it("a free port is none that the kernel gives away by chance, another one each time, and none that is in use", async () => {
  const ports: number[] = [];
  for (let count = 0; count < 10; count++) ports.push(await findFreePort("127.0.0.1"));
  expect(new Set(ports).size).toBe(10);
  for (const port of ports) expect(port).toBeLessThan(17_000);
  const taken = createServer();
  const next = Math.max(...ports) + 1;
  await listen(taken, { host: "127.0.0.1", port: next }).catch(() => undefined);
  expect(await findFreePort("127.0.0.1")).not.toBe(next);
  await closeServer(taken);
});
