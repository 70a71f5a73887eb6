import { createServer } from "node:net";
import { expect, it } from "vitest";
import { closeServer, listen, portOf, portOwner } from "./listen.ts";

const host = "127.0.0.1";

it("a port that is taken is named, with who took it where the system tells", async () => {
  const first = createServer();
  await listen(first, { host, port: 0 });
  const port = portOf(first);
  const owner = portOwner(port);
  if (owner !== undefined) expect(owner).toContain(`pid ${process.pid}`);
  await expect(listen(createServer(), { host, port })).rejects.toMatchObject({
    code: "ATOLL_PORT_TAKEN",
    message: `port ${port} of ${host} is in use by ${owner ?? "another process"}`,
  });
  await closeServer(first);
  await using second = createServer();
  await listen(second, { host, port });
  expect(portOf(second)).toBe(port);
});

it("what else the platform says of listening stays as it is", async () => {
  await expect(listen(createServer(), { host: "192.0.2.1", port: 0 })).rejects.toMatchObject({ code: "EADDRNOTAVAIL" });
});
