import { createServer } from "node:http";
import { expect, test } from "vitest";
import { systemClock } from "#federation/runtime/clock.ts";
import { runOpenLoop } from "./open-loop.ts";

test("sends every planned request, and counts refusals as errors", async () => {
  let served = 0;
  const server = createServer((_, response) => {
    served++;
    response.statusCode = served % 4 === 0 ? 503 : 200;
    response.end("hello");
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  try {
    const address = server.address();
    const port = address !== null && typeof address === "object" ? address.port : 0;
    const result = await runOpenLoop({ port, host: "x", requestsPerSecond: 200, seconds: 0.2, warmUpSeconds: 0, connections: 4 }, systemClock);
    expect(served).toBe(40);
    expect(result).toMatchObject({ answered: 30, errors: 10 });
  } finally {
    server.close();
    server.closeAllConnections();
  }
});
