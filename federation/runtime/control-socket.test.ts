import { mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { systemClock } from "./clock.ts";
import { openControlClient, openControlServer, type ControlHandlers } from "./control-socket.ts";
import { AtollError } from "./errors.ts";

const never = new AbortController().signal;
let directory = "";

async function serving<T>(handlers: ControlHandlers, run: (path: string) => Promise<T>): Promise<T> {
  const path = join(directory, "c.sock");
  await using _ = await openControlServer(path, handlers);
  return await run(path);
}

describe("the control socket", () => {
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), "atoll-control-"));
  });
  afterEach(() => rmSync(directory, { recursive: true, force: true }));

  it("answers overlapping requests, each with its own result", async () => {
    const release = Promise.withResolvers<string>();
    await serving({ slow: () => release.promise, echo: (params) => params }, async (path) => {
      await using client = await openControlClient(path, systemClock);
      const slow = client.request("slow", {}, 5_000, never);
      expect(await client.request("echo", { text: "ü\n" }, 5_000, never)).toEqual({ text: "ü\n" });
      release.resolve("done");
      expect(await slow).toBe("done");
    });
  });

  it("carries the code of what a handler throws", async () => {
    await serving({ fail: () => Promise.reject(new AtollError("ATOLL_PROCESS_FAILED", "it broke")) }, async (path) => {
      await using client = await openControlClient(path, systemClock);
      await expect(client.request("fail", {}, 5_000, never)).rejects.toMatchObject({ code: "ATOLL_PROCESS_FAILED", message: "it broke" });
      await expect(client.request("toString", {}, 5_000, never)).rejects.toMatchObject({ code: "ATOLL_CONTROL_REFUSED" });
    });
  });

  it("ends a request at its bound, and tells everybody when the server goes", async () => {
    const path = join(directory, "c.sock");
    const server = await openControlServer(path, { hang: () => new Promise(() => {}) });
    await using client = await openControlClient(path, systemClock);
    await expect(client.request("hang", {}, 5, never)).rejects.toMatchObject({ code: "ATOLL_TIMEOUT" });
    const waiting = client.request("hang", {}, 60_000, never);
    const outcome = expect(waiting).rejects.toMatchObject({ code: "ATOLL_CONTROL_UNAVAILABLE" });
    await server[Symbol.asyncDispose]();
    await outcome;
    await expect(openControlClient(path, systemClock)).rejects.toMatchObject({ code: "ATOLL_CONTROL_UNAVAILABLE" });
  });

  it("is for its owner only, and replaces a socket that a dead process left", async () => {
    await serving({}, async (path) => {
      expect(statSync(path).mode & 0o777).toBe(0o600);
      await using second = await openControlServer(path, { who: () => "second" });
      expect(second).toBeDefined();
      await using client = await openControlClient(path, systemClock);
      expect(await client.request("who", {}, 5_000, never)).toBe("second");
    });
  });

  it("says what to do about a path that no unix socket can have", async () => {
    await expect(openControlServer(join(directory, "x".repeat(200)), {})).rejects.toMatchObject({ code: "ATOLL_CONFIG_INVALID", message: expect.stringContaining("--data") as string });
  });

  it("drops a client that does not speak the protocol", async () => {
    await serving({}, async (path) => {
      const { createConnection } = await import("node:net");
      const socket = createConnection(path);
      socket.write("GET / HTTP/1.1\r\n\r\n");
      await new Promise<void>((resolve) => socket.once("close", () => resolve()));
      expect(socket.destroyed).toBe(true);
    });
  });
});
