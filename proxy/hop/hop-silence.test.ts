import type { ServerResponse } from "node:http";
import { describe, expect, test } from "vitest";
import type { Place } from "#federation/model/snapshot.ts";
import { catalogAt, eventually, httpOrigin, localAt, RawClient, remoteAt, requestFor, TestProxy } from "../http/proxy-fixture.ts";
import type { Connector } from "../upstream/connector.ts";
import { PlayedConnector, TestCallee } from "./hop-fixture.ts";

/** Sidecars that stand still: what they have accepted says nothing, and nothing new comes about with them. */
class StillSidecars implements Connector {
  readonly negotiates = true;
  readonly #played = new PlayedConnector();
  readonly #still = new Set<number>();

  stop({ port, sockets }: TestCallee): void {
    this.#still.add(port);
    for (const socket of sockets) socket.pause();
  }

  resume({ port, sockets }: TestCallee): void {
    this.#still.delete(port);
    for (const socket of sockets) socket.resume();
  }

  connect: Connector["connect"] = (target, handler) => {
    let isMute = false;
    return this.#played.connect(target, {
      readBuffer: handler.readBuffer,
      onBytes: (length, buffer) => {
        if (!isMute) handler.onBytes(length, buffer);
      },
      nextBuffer: () => handler.nextBuffer(),
      onReady: () => {
        isMute = this.#still.has(target.port);
        if (!isMute) handler.onReady();
      },
      onProven: () => handler.onProven(),
    });
  };
}

/** An application that answers when it is told to. */
async function patientOrigin(): Promise<AsyncDisposable & { readonly port: number; readonly held: ServerResponse[]; answerAll(): void }> {
  const held: ServerResponse[] = [];
  const origin = await httpOrigin((request, response) => void (request.url === "/now" ? response.end("now") : held.push(response)));
  return {
    port: origin.port,
    held,
    answerAll: () => {
      for (const response of held.splice(0)) response.end("late");
    },
    [Symbol.asyncDispose]: () => origin[Symbol.asyncDispose](),
  };
}

/** Time passes, and sockets have their turns in it. */
async function pass(proxy: TestProxy, ms: number): Promise<void> {
  for (let passed = 0; passed < ms; passed += 20) {
    await proxy.clock.advance(20);
    await new Promise<void>((resolve) => setImmediate(resolve));
  }
}

/** The way is known, so that silence is seen as soon as it can be. */
async function warmUp(proxy: TestProxy, client: RawClient, requests: number): Promise<void> {
  for (let count = 0; count < requests; count++) {
    client.write(requestFor("GET", "/now"));
    expect((await client.response()).status).toBe(200);
  }
  await pass(proxy, 200);
}

/** Twenty users of a sidecar that is their service's only one, and which they know. */
async function twentyUsers() {
  await using cleanUp = new AsyncDisposableStack();
  const app = cleanUp.use(await patientOrigin());
  const callee = cleanUp.use(await TestCallee.open(app.port));
  const connector = new StillSidecars();
  const proxy = cleanUp.use(await TestProxy.open([localAt(callee.port)], { connector }));
  const clients = await Promise.all(Array.from({ length: 20 }, async () => cleanUp.use(await RawClient.connect(proxy.server.port))));
  await warmUp(proxy, clients[0] as RawClient, 5);
  const opened = cleanUp.move();
  return { app, callee, connector, proxy, clients, [Symbol.asyncDispose]: () => opened.disposeAsync() };
}

const stateOf = (proxy: TestProxy, place: Place): object => proxy.health.conditionOf(catalogAt([place]), place);

describe("a sidecar that says nothing", () => {
  test("keeps its requests where there is no other, and answers them when it has a processor again", async () => {
    await using path = await twentyUsers();
    const { app, callee, connector, proxy, clients } = path;
    for (const client of clients.slice(1)) client.write(requestFor("GET", "/slow"));
    await eventually(() => app.held.length === 19);

    connector.stop(callee);
    app.answerAll();
    await pass(proxy, 1_500);
    // One that comes meanwhile waits for whoever speaks first.
    clients[0]?.write(requestFor("GET", "/now"));
    await pass(proxy, 500);
    expect(proxy.logLines.filter((line) => !line.includes(" 200 "))).toEqual([]);

    connector.resume(callee);
    const answers = await Promise.all(clients.map((client) => client.response()));
    expect(answers.map(({ status }) => status)).toEqual(clients.map(() => 200));
    expect(stateOf(proxy, localAt(callee.port))).toMatchObject({ lowered: false, verdict: "healthy" });
  });

  test("is left by what may be repeated while another speaks, and by nothing else, and is used again with its first word", async () => {
    await using app = await patientOrigin();
    await using still = await TestCallee.open(app.port);
    await using sound = await TestCallee.open(app.port);
    const connector = new StillSidecars();
    await using proxy = await TestProxy.open([localAt(still.port), remoteAt("there", sound.port)], { connector });
    const [reader, writer, newcomer] = await Promise.all([1, 2, 3].map(() => RawClient.connect(proxy.server.port))) as [RawClient, RawClient, RawClient];
    await warmUp(proxy, reader, 5);
    reader.write(requestFor("GET", "/slow"));
    writer.write(requestFor("POST", "/slow", "", "x"));
    await eventually(() => app.held.length === 2);
    const servedBy = ({ telemetry }: TestCallee): number => [...telemetry.series()].reduce((sum, { requests }) => sum + requests, 0);

    connector.stop(still);
    await pass(proxy, 500);
    // The reader's is asked again over there …
    await eventually(() => app.held.length === 3);
    app.held.pop()?.end("from there");
    expect(await reader.response()).toMatchObject({ status: 200, body: "from there" });
    // … where whoever comes now goes at once …
    newcomer.write(requestFor("GET", "/now"));
    expect((await newcomer.response()).status).toBe(200);
    expect(servedBy(sound)).toBe(2);
    // … and the writer's has not been thrown away.
    app.answerAll();
    connector.resume(still);
    expect(await writer.response()).toMatchObject({ status: 200, body: "late" });
    newcomer.write(requestFor("GET", "/now"));
    expect((await newcomer.response()).status).toBe(200);
    expect(servedBy(sound)).toBe(2);
    expect(stateOf(proxy, localAt(still.port))).toMatchObject({ lowered: false });
    for (const client of [reader, writer, newcomer]) client[Symbol.dispose]();
  });

  test("for good is given up after seconds, and one end is one failure, whatever was on it", async () => {
    await using path = await twentyUsers();
    const { app, callee, connector, proxy, clients } = path;
    for (const client of clients) client.write(requestFor("POST", "/slow", "", "x"));
    await eventually(() => app.held.length === 20);
    connector.stop(callee);
    await pass(proxy, 2_500);
    expect(proxy.logLines.filter((line) => line.includes(" 503 "))).toEqual([]);
    await pass(proxy, 1_500);
    const answers = await Promise.all(clients.map((client) => client.response()));
    expect(answers.map(({ status }) => status)).toEqual(clients.map(() => 503));
    expect(stateOf(proxy, localAt(callee.port))).toMatchObject({ lowered: false, verdict: "suspect", reason: "its latest requests failed" });
  });
});

describe("a sidecar that answers no handshake", () => {
  test("holds up one request, and those that come after it go elsewhere until it does", async () => {
    await using app = await patientOrigin();
    await using still = await TestCallee.open(app.port);
    await using sound = await TestCallee.open(app.port);
    const connector = new StillSidecars();
    connector.stop(still);
    await using proxy = await TestProxy.open([localAt(still.port), remoteAt("there", sound.port)], { connector });
    const [first, second] = await Promise.all([1, 2].map(() => RawClient.connect(proxy.server.port))) as [RawClient, RawClient];
    first.write(requestFor("GET", "/now"));
    await eventually(() => still.sockets.length === 1);
    await pass(proxy, 3_000);
    expect((await first.response()).status).toBe(200);
    for (let count = 0; count < 20; count++) {
      second.write(requestFor("GET", "/now"));
      expect((await second.response()).status).toBe(200);
    }
    connector.resume(still);
    await pass(proxy, 3_000);
    await eventually(() => still.inbound.hop.sessions > 0);
    // After three seconds it may have been started anew: its traffic returns step by step.
    const came = (): number => proxy.logLines.slice(-20).filter((line) => line.includes(`127.0.0.1:${still.port}`)).length;
    for (const wanted of [1, 20]) {
      for (let count = 0; count < 20; count++) {
        second.write(requestFor("GET", "/now"));
        expect((await second.response()).status).toBe(200);
      }
      expect(came()).toBeGreaterThanOrEqual(wanted);
      await pass(proxy, 12_000);
    }
    for (const client of [first, second]) client[Symbol.dispose]();
  });
});

describe("a sidecar that is gone", () => {
  test("is left with the first refused connection, without five failures in a row, and used again with the first one that opens", async () => {
    await using app = await patientOrigin();
    const gone = await TestCallee.open(app.port);
    const { port } = gone;
    await using sound = await TestCallee.open(app.port);
    await using proxy = await TestProxy.open([localAt(port), remoteAt("there", sound.port)], { connector: new PlayedConnector() });
    using client = await RawClient.connect(proxy.server.port);
    await warmUp(proxy, client, 3);
    await gone[Symbol.asyncDispose]();
    const [pool] = proxy.pools.pools();
    await eventually(() => pool?.isUnreachable === true);
    for (let count = 0; count < 10; count++) {
      client.write(requestFor("POST", "/now", "", "x"));
      expect((await client.response()).status).toBe(200);
    }
    // One try each: nobody had to find out.
    expect(proxy.logLines.slice(-10).every((line) => line.includes(`127.0.0.1:${sound.port}`))).toBe(true);
    expect(stateOf(proxy, localAt(port))).toMatchObject({ lowered: false });

    await using back = await TestCallee.open(app.port, { port });
    const isLeft = (): boolean => pool?.isUnreachable === true;
    for (let turn = 0; isLeft() && turn < 200; turn++) await pass(proxy, 100);
    expect(back.inbound.hop.sessions).toBe(1);
    client.write(requestFor("GET", "/now"));
    expect((await client.response()).status).toBe(200);
    expect(proxy.logLines.at(-1)).toContain(`127.0.0.1:${port}`);
  });
});

describe("a connection that breaks", () => {
  test("is one failure of its target, and not one for each request on it", async () => {
    await using app = await patientOrigin();
    await using callee = await TestCallee.open(app.port);
    await using proxy = await TestProxy.open([localAt(callee.port)], { connector: new PlayedConnector() });
    const clients = await Promise.all(Array.from({ length: 20 }, () => RawClient.connect(proxy.server.port)));
    for (const client of clients) client.write(requestFor("GET", "/slow"));
    await eventually(() => app.held.length === 20);
    callee.sockets[0]?.destroy();
    // Each is asked again, once, on the next connection.
    await eventually(() => app.held.length === 40);
    expect(stateOf(proxy, localAt(callee.port))).toMatchObject({ lowered: false });
    app.answerAll();
    for (const client of clients) expect((await client.response()).status).toBe(200);
    for (const client of clients) client[Symbol.dispose]();
  });
});
