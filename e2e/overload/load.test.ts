import { createServer, type Server } from "node:http";
import { expect, test } from "vitest";
import { systemClock, type Clock } from "#federation/runtime/clock.ts";
import { runLoad } from "./load.ts";
import { summarizeWindows } from "./load-plan.ts";

const never = new AbortController().signal;
/** A load that lies for a fifth of this is not sent: longer than a busy host keeps this process from its processor. */
const patientMs = 5_000;

async function serve(handle: Parameters<typeof createServer>[1]): Promise<{ readonly server: Server; readonly port: number } & Disposable> {
  const server = createServer(handle);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  return {
    server,
    port: address !== null && typeof address === "object" ? address.port : 0,
    [Symbol.dispose]() {
      server.close();
      server.closeAllConnections();
    },
  };
}

test("counts each request by what became of it", async () => {
  let served = 0;
  using target = await serve((request, response) => {
    served++;
    if (served % 4 === 1) response.end("hello");
    else if (served % 4 === 2) response.writeHead(503, { connection: "close" }).end();
    else if (served % 4 === 3) request.socket.resetAndDestroy();
    // And one of four is never answered.
  });
  const { windows } = await runLoad({ port: target.port, host: "x", deadlineMs: patientMs, phases: [{ requestsPerSecond: 100, seconds: 0.4 }] }, systemClock, never);
  const sum = (key: "planned" | "ok" | "refused" | "abandoned" | "broken" | "unsent"): number => windows.reduce((total, window) => total + window[key], 0);
  expect(served).toBe(40);
  expect(["planned", "ok", "refused", "broken", "abandoned", "unsent"].map((key) => sum(key as "ok"))).toEqual([40, 10, 10, 10, 10, 0]);
  expect(summarizeWindows(windows, patientMs).p99Ms).toBe(patientMs);
});

test("leaves when the deadline is over, and closes its connection", async () => {
  let closed = 0;
  using target = await serve((request) => request.socket.once("close", () => closed++));
  await runLoad({ port: target.port, host: "x", deadlineMs: patientMs, phases: [{ requestsPerSecond: 100, seconds: 0.1 }] }, systemClock, never);
  // The other side hears of it a moment later.
  await expect.poll(() => closed).toBe(10);
});

test("ends early when it is enough", async () => {
  using target = await serve((_, response) => response.end("hello"));
  const enough = new AbortController();
  systemClock.schedule(50, () => enough.abort());
  const { windows } = await runLoad({ port: target.port, host: "x", deadlineMs: 100, phases: [{ requestsPerSecond: 100, seconds: 3_600 }] }, systemClock, enough.signal);
  expect(windows.reduce((total, { planned }) => total + planned, 0)).toBeGreaterThan(0);
});

test("does not send what it has left lying itself: it would never be on time again", async () => {
  let served = 0;
  using target = await serve((_, response) => {
    served++;
    response.end("hello");
  });
  // Its clock jumps over what is planned for 400 ms, and goes on.
  const jumpy: Clock = { nowMs: () => systemClock.nowMs(), monotonicMs: () => systemClock.monotonicMs() + (served > 0 ? 400 : 0), schedule: (delayMs, callback) => systemClock.schedule(delayMs, callback) };
  const { windows } = await runLoad({ port: target.port, host: "x", deadlineMs: 1_000, phases: [{ requestsPerSecond: 100, seconds: 0.8 }] }, jumpy, never);
  const unsent = windows.reduce((total, window) => total + window.unsent, 0);
  expect(unsent).toBeGreaterThanOrEqual(10);
  expect(windows.reduce((total, window) => total + window.ok, 0) + unsent).toBe(80);
});
