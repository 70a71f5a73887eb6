import { describe, expect, test } from "vitest";
import type { SpiffeId } from "#federation/model/names.ts";
import { defaultPriority, priorityClasses } from "#federation/model/priority-class.ts";
import type { PriorityClass } from "#federation/model/priority-class.ts";
import { hopProtocol } from "../hop/frames.ts";
import { PlayedConnector, TestCallee } from "../hop/hop-fixture.ts";
import { Continue } from "./exchange.ts";
import type { Exchange, Stage, StageResult } from "./exchange.ts";
import { claimForbidden, claimPriority, claimTaken, claimUnknown, noPriorities, unclaimed } from "./priority-claim.ts";
import { httpOrigin, localAt, RawClient, requestFor, TestProxy } from "./proxy-fixture.ts";

/** Hears which class requests have where a proxy decides what it has time for. */
class ClassListener implements Stage {
  readonly name = "listener";
  readonly names: (string | undefined)[] = [];

  request(x: Exchange): StageResult {
    this.names.push(priorityClasses[x.priority]);
    return Continue;
  }

  response(): void {}
  end(): void {}
}

const foreign = "spiffe://other.example/ns/web/sa/storefront" as SpiffeId;

/** What the callee's side takes a request for, and what its application hears of it. */
async function classAtCallee(
  fields: string,
  options: { readonly protocol: string; readonly isEdge?: boolean; readonly priority?: PriorityClass; readonly callerId?: SpiffeId },
): Promise<{ readonly name: string | undefined; readonly ignored: object; readonly ignoredAtCallee: object; readonly heard: boolean }> {
  const listener = new ClassListener();
  let heard = false;
  await using app = await httpOrigin((request, response) => {
    heard = "x-atoll-priority" in request.headers;
    response.setHeader("x-atoll-priority", "critical");
    response.end("ok");
  });
  await using callee = await TestCallee.open(app.port, { guard: listener, protocol: options.protocol, ...(options.callerId && { callerId: options.callerId }) });
  const { isEdge = false, priority = "default" } = options;
  await using proxy = await TestProxy.open([localAt(callee.port)], { connector: new PlayedConnector(options.protocol), isEdge, policy: { priority } });
  using client = await RawClient.connect(proxy.server.port);
  client.write(requestFor("GET", "/", fields));
  const answer = await client.response();
  expect(answer.status).toBe(200);
  expect(answer.head).not.toMatch(/x-atoll-priority/i);
  return { name: listener.names[0], ignored: proxy.server.priorities.ignored, ignoredAtCallee: callee.inbound.priorities.ignored, heard };
}

const nothing = { unknown: 0, forbidden: 0 };
const claim = (value: string): string => `X-Atoll-Priority: ${value}\r\n`;

describe.each([
  ["the hop", hopProtocol],
  ["HTTP/1.1", "http/1.1"],
])("a request's class over %s", (_name, protocol) => {
  test.each(priorityClasses)("is what its service's policy says: %s", async (priority) => {
    expect(await classAtCallee("", { protocol, priority })).toEqual({ name: priority, ignored: nothing, ignoredAtCallee: nothing, heard: false });
  });

  test("is what a client of the mesh's edge says", async () => {
    expect(await classAtCallee(claim("critical"), { protocol, isEdge: true, priority: "sheddable" })).toMatchObject({ name: "critical", ignored: nothing, heard: false });
    expect(await classAtCallee(claim("default"), { protocol, isEdge: true, priority: "sheddable" })).toMatchObject({ name: "default", ignored: nothing });
  });

  test("is not what anybody else's application says, and that is counted", async () => {
    expect(await classAtCallee(claim("critical"), { protocol })).toMatchObject({ name: "default", ignored: { unknown: 0, forbidden: 1 }, heard: false });
    expect(await classAtCallee(claim("critical"), { protocol, priority: "sheddable" })).toMatchObject({ name: "sheddable", ignoredAtCallee: nothing });
  });

  test.each(["urgent", "CRITICAL", "0", ""])("is the policy's where the edge's client says %j", async (value) => {
    expect(await classAtCallee(claim(value), { protocol, isEdge: true, priority: "sheddable" })).toMatchObject({ name: "sheddable", ignored: { unknown: 1, forbidden: 0 } });
  });

  test("is never critical for a caller of another trust domain", async () => {
    expect(await classAtCallee("", { protocol, priority: "critical", callerId: foreign })).toMatchObject({ name: "default", ignoredAtCallee: { unknown: 0, forbidden: 1 } });
    expect(await classAtCallee("", { protocol, priority: "sheddable", callerId: foreign })).toMatchObject({ name: "sheddable", ignoredAtCallee: nothing });
  });
});

test("a class is known before the proxy refuses what it has no time for, and is forgotten with its request", async () => {
  await using app = await httpOrigin((_request, response) => void response.end("ok"));
  const guard = new ClassListener();
  await using proxy = await TestProxy.open([localAt(app.port)], { isEdge: true, guard, policy: { priority: "sheddable" } });
  using client = await RawClient.connect(proxy.server.port);
  for (const fields of ["", claim("critical"), ""]) {
    client.write(requestFor("GET", "/", fields));
    expect((await client.response()).status).toBe(200);
  }
  expect(guard.names).toEqual(["sheddable", "critical", "sheddable"]);
});

test.each([
  [0, 0, claimTaken, 0],
  [2, defaultPriority, claimTaken, 2],
  [0, defaultPriority, claimForbidden, defaultPriority],
  [2, noPriorities, claimForbidden, defaultPriority],
  [3, 0, claimUnknown, defaultPriority],
  [255, noPriorities, claimUnknown, defaultPriority],
  [-1, 0, claimUnknown, defaultPriority],
])("class %d of a client that may claim those from %d on", (index, min, claimed, priority) => {
  const x = { priority: defaultPriority, priorityClaim: unclaimed };
  claimPriority(x, index, min);
  expect(x).toEqual({ priority, priorityClaim: claimed });
});
