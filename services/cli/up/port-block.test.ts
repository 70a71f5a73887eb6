import { createServer, type AddressInfo } from "node:net";
import { describe, expect, it } from "vitest";
import { portOwner } from "#federation/runtime/listen.ts";
import { checkBlock, checkPort, findFreeBlock, isFree, PortBlock } from "./port-block.ts";

async function listening<T>(run: (port: number) => Promise<T>): Promise<T> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  try {
    return await run((server.address() as AddressInfo).port);
  } finally {
    await new Promise((resolve) => server.close(resolve));
  }
}

describe("ports", () => {
  it("come in order and never beyond the block", () => {
    const block = new PortBlock(20_000, 2);
    expect([block.take("a"), block.take("b"), block.take("a")]).toEqual([20_000, 20_001, 20_000]);
    expect(() => block.take("c")).toThrow(expect.objectContaining({ code: "ATOLL_CONFIG_INVALID" }));
  });

  it("are found where nobody listens", async () => {
    const base = await findFreeBlock("somebody", 50);
    expect(await isFree(base)).toBe(true);
    expect(await isFree(base + 49)).toBe(true);
  });

  it("on which an application is to listen are asked for one by one", async () => {
    await listening(async (port) => {
      await expect(checkPort(port, "web/hello")).rejects.toMatchObject({ code: "ATOLL_PORT_TAKEN", message: expect.stringContaining(`port ${port}, on which web/hello is to listen, is in use`) as string });
    });
    await expect(checkPort(await findFreeBlock("nobody", 1), "web/hello")).resolves.toBeUndefined();
  });

  it("that are taken are named, with who took them where the system tells", async () => {
    await listening(async (port) => {
      const owner = portOwner(port);
      if (owner !== undefined) expect(owner).toContain(`pid ${process.pid}`);
      await expect(checkBlock(port, 1)).rejects.toMatchObject({ code: "ATOLL_PORT_TAKEN", message: expect.stringContaining(`port ${port} is in use by ${owner ?? "another process"}`) as string });
    });
  });
});
