import { spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { expect, it } from "vitest";
import { processIdentity } from "#services/cli/up/process-identity.ts";
import { Burners } from "./burners.ts";

// One that has ended and waits to be collected is gone.
const isAlive = (pid: number): boolean => processIdentity(pid) !== undefined;

it("burners are so many processes, and are gone when disposed", async () => {
  const burners = Burners.start(2);
  const { pids } = burners;
  expect(pids.map(isAlive)).toEqual([true, true]);
  burners[Symbol.dispose]();
  await expect.poll(() => pids.some(isAlive)).toBe(false);
});

it("burners end with whoever started them when that is interrupted", async () => {
  const program = `const { Burners } = await import(${JSON.stringify(fileURLToPath(new URL("burners.ts", import.meta.url)))}); console.log(Burners.start(1).pids[0]); setInterval(() => {}, 1000);`;
  const parent = spawn(process.execPath, ["--input-type=module", "-e", program], { stdio: ["ignore", "pipe", "inherit"] });
  const [line] = (await once(parent.stdout, "data")) as [Buffer];
  const pid = Number(line.toString());
  expect(isAlive(pid)).toBe(true);
  parent.kill("SIGTERM");
  const [code] = (await once(parent, "exit")) as [number];
  expect(code).toBe(143);
  await expect.poll(() => isAlive(pid)).toBe(false);
});
