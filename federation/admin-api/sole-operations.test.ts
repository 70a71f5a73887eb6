import { describe, expect, it } from "vitest";
import { z } from "zod";
import type { Access } from "./access.ts";
import { defineRoute, implement, type Operation } from "./route.ts";
import { whileSole, type KnownRival } from "./sole-operations.ts";

const operation = (method: "GET" | "PUT", access: Access): Operation => implement(defineRoute({ operationId: "act", method, path: "/act", summary: "Acts", access, answer: z.string() }), async () => ({ body: "done" }));

describe("operations of a plane that may be one of two", () => {
  it.each([
    ["GET", "read", true],
    ["PUT", "read", true],
    ["PUT", "plane", true],
    ["PUT", "write", false],
    ["PUT", "administer", false],
  ] as const)("%s that takes %s: %s", async (method, access, isAnswered) => {
    const met: { rival: KnownRival | undefined } = { rival: undefined };
    const [act] = whileSole([operation(method, access)], () => met.rival);
    const ask = async (): Promise<unknown> => (await act?.handle({ params: {}, query: {}, body: undefined, caller: undefined as never, demand: () => undefined }, new AbortController().signal))?.body;
    expect(await ask()).toBe("done");
    met.rival = { rival: "host-b-1" };
    if (isAnswered) expect(await ask()).toBe("done");
    else await expect(ask()).rejects.toMatchObject({ code: "ATOLL_PLANE_DOUBLED", message: expect.stringContaining("host-b-1") as string });
  });
});
