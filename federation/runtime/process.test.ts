import { spawn } from "node:child_process";
import { once } from "node:events";
import { text } from "node:stream/consumers";
import { expect, it } from "vitest";

it("lives for as long as it has something to do, also while it only waits for the next try", async () => {
  const program = `
    import { runProcess } from ${JSON.stringify(new URL("./process.ts", import.meta.url).href)};
    import { sleep, systemClock } from ${JSON.stringify(new URL("./clock.ts", import.meta.url).href)};
    runProcess(async (signal) => {
      await sleep(systemClock, 50, signal);
      process.stdout.write("tried again");
    });`;
  const child = spawn(process.execPath, ["--input-type=module", "-e", program], { cwd: import.meta.dirname, stdio: ["ignore", "pipe", "inherit"] });
  const [said, [code]] = await Promise.all([text(child.stdout), once(child, "exit")]);
  expect([said, code]).toEqual(["tried again", 0]);
});
