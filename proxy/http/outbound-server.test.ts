import { createHash } from "node:crypto";
import { connect } from "node:net";
import type { Socket } from "node:net";
import { describe, expect, test } from "vitest";
import { vainRetryCost } from "#federation/routing/retry-budget.ts";
import { catalogAt, closedPort, eventually, httpOrigin, localAt, RawClient, rawOrigin, remoteAt, requestFor, snapshotOf, TestProxy } from "./proxy-fixture.ts";

/** Reads whole requests (without a body) and answers each with what `answer` gives; undefined resets the connection. */
function answering(answer: (request: string, index: number) => string | undefined): (socket: Socket) => void {
  let index = 0;
  return (socket) => {
    let text = "";
    socket.on("data", (chunk: Buffer) => {
      text += chunk.toString("latin1");
      for (let end = text.indexOf("\r\n\r\n"); end !== -1; end = text.indexOf("\r\n\r\n")) {
        const reply = answer(text.slice(0, end + 4), index++);
        text = text.slice(end + 4);
        if (reply === undefined) socket.resetAndDestroy();
        else socket.write(reply, "latin1");
      }
    });
  };
}

const ok = (body: string): string => `HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\n\r\n${body}`;

describe("a request", () => {
  test("goes to the service its Host names, and its connections are kept on both sides", async () => {
    const seen: string[] = [];
    await using origin = await httpOrigin((request, response) => {
      seen.push(`${request.method} ${request.url} ${request.headers.host}`);
      response.end(`hello ${request.url}`);
    });
    await using proxy = await TestProxy.open([localAt(origin.port)]);
    using client = await RawClient.connect(proxy.server.port);
    for (const path of ["/a", "/b", "/c?d=e"]) {
      client.write(requestFor("GET", path));
      const { status, body } = await client.response();
      expect([status, body]).toEqual([200, `hello ${path}`]);
    }
    expect(seen).toEqual(["GET /a catalog.web", "GET /b catalog.web", "GET /c?d=e catalog.web"]);
    expect(origin.sockets).toHaveLength(1);
  });

  test("for an unknown host is answered 404 with the flag NR", async () => {
    await using proxy = await TestProxy.open([]);
    using client = await RawClient.connect(proxy.server.port);
    client.write("GET / HTTP/1.1\r\nHost: nobody.there\r\n\r\n");
    const { status, head } = await client.response();
    expect(status).toBe(404);
    expect(head).toContain("x-atoll-reason: no_route");
    expect(proxy.logLines[0]).toMatch(/^\[2026-.*\] "GET \/ HTTP\/1.1" 404 NR 0 9 0 - "-" "-" "-" "nobody.there" "-"\n$/);
  });

  test("without a usable place is answered 503 with the flag UH", async () => {
    await using proxy = await TestProxy.open([localAt()], { log: { format: "json" } });
    using client = await RawClient.connect(proxy.server.port);
    client.write(requestFor("GET", "/"));
    expect((await client.response()).status).toBe(503);
    expect(JSON.parse(proxy.logLines[0] ?? "")).toMatchObject({ response_code: 503, response_flags: "UH", response_code_details: "no_healthy_upstream" });
  });

  test("carries no hop-by-hop field and no identity that its sender made up, and gets a trace", async () => {
    let request = "";
    await using origin = await rawOrigin(answering((text) => ((request = text), ok("x"))));
    await using proxy = await TestProxy.open([localAt(origin.port)]);
    using client = await RawClient.connect(proxy.server.port);
    client.write(
      requestFor("GET", "/", "Connection: keep-alive, X-Secret\r\nX-Secret: 1\r\nKeep-Alive: 5\r\nTE: trailers\r\nX-Forwarded-Client-Cert: URI=spiffe://evil\r\nX-Atoll-Caller: evil\r\nAccept: a\r\n"),
    );
    await client.response();
    expect(request.toLowerCase()).not.toMatch(/secret|keep-alive|te:|evil|connection/);
    expect(request).toContain("Accept: a\r\n");
    expect(request).toMatch(/\r\ntraceparent: 00-[0-9a-f]{32}-[0-9a-f]{16}-00\r\n/);
  });

  test("keeps the trace it came with", async () => {
    let request = "";
    await using origin = await rawOrigin(answering((text) => ((request = text), ok("x"))));
    await using proxy = await TestProxy.open([localAt(origin.port)]);
    using client = await RawClient.connect(proxy.server.port);
    client.write(requestFor("GET", "/", "traceparent: 00-11111111111111111111111111111111-2222222222222222-01\r\nbaggage: a=b\r\n"));
    await client.response();
    expect(request.match(/traceparent/g)).toHaveLength(1);
    expect(request).toContain("2222222222222222-01\r\nbaggage: a=b\r\n");
  });

  test("gets an id: that of its trace where it brings none, another one where it brings a trace alone, and its own where it has one, also in the log", async () => {
    const requests: string[] = [];
    await using origin = await rawOrigin(answering((text) => (requests.push(text), ok("x"))));
    await using proxy = await TestProxy.open([localAt(origin.port)], { log: { format: "json", filter: "all" } });
    using client = await RawClient.connect(proxy.server.port);
    const trace = "traceparent: 00-11111111111111111111111111111111-2222222222222222-01\r\n";
    for (const fields of ["", trace, "X-Request-ID: mine\r\nX-Forwarded-For: 192.0.2.1\r\nX-Forwarded-Proto: https\r\n", `${trace}x-request-id: mine\r\n`]) {
      client.write(requestFor("GET", "/", fields));
      await client.response();
    }
    const ids = requests.map((text) => [...text.matchAll(/\r\nx-request-id: (.*)\r\n/gi)].map(([, id]) => id ?? ""));
    const logged = proxy.logLines.map((line) => (JSON.parse(line) as { readonly request_id: string }).request_id);
    expect(ids).toEqual([[/traceparent: 00-([0-9a-f]{32})/.exec(requests[0] ?? "")?.[1]], [expect.stringMatching(/^(?!1{32})[0-9a-f]{32}$/)], ["mine"], ["mine"]]);
    expect(logged).toEqual(ids.flat());
    expect(requests[2]).toContain("X-Forwarded-For: 192.0.2.1\r\nX-Forwarded-Proto: https\r\n");
  });

  test("that is ambiguous is refused, counted, and ends the connection", async () => {
    await using proxy = await TestProxy.open([localAt(1)]);
    using client = await RawClient.connect(proxy.server.port);
    client.write("POST / HTTP/1.1\r\nHost: catalog.web\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: catalog.web\r\n\r\n");
    const text = await client.untilEnd();
    expect(text).toMatch(/^HTTP\/1\.1 400 Bad Request\r\n/);
    expect(text.match(/HTTP\/1\.1/g)).toHaveLength(1);
    expect(proxy.server.http.faults.get("length_and_encoding")).toBe(1);
  });

  test("may be pipelined: answers come in order", async () => {
    await using origin = await httpOrigin((request, response) => void response.end(request.url));
    await using proxy = await TestProxy.open([localAt(origin.port)]);
    using client = await RawClient.connect(proxy.server.port);
    const paths = Array.from({ length: 50 }, (_, index) => `/p${index}`);
    client.write(paths.map((path) => requestFor("GET", path)).join(""));
    for (const path of paths) expect((await client.response()).body).toBe(path);
    expect(origin.sockets).toHaveLength(1);
  });

  test("of HTTP/1.0 is answered and its connection ended, or kept when asked for", async () => {
    await using origin = await httpOrigin((_request, response) => {
      response.write("in ");
      response.end("chunks");
    });
    await using proxy = await TestProxy.open([localAt(origin.port)]);
    using kept = await RawClient.connect(proxy.server.port);
    kept.write("GET / HTTP/1.0\r\nHost: catalog.web\r\nConnection: keep-alive\r\n\r\n");
    expect((await kept.response()).head).toContain("connection: keep-alive");
    kept.write("GET / HTTP/1.0\r\nHost: catalog.web\r\n\r\n");
    expect(await kept.untilEnd()).toMatch(/connection: close\r\n\r\nin chunks$/);
  });
});

describe("bodies", () => {
  const digest = (text: string): string => createHash("sha256").update(text, "latin1").digest("hex");

  test.each([0, 1, 1000, 65_536, 65_537, 3_000_000])("of %i bytes pass unharmed, with length and in chunks, both ways", async (size) => {
    const body = Buffer.alloc(size, "0123456789abcdef\xff").toString("latin1");
    await using origin = await httpOrigin((request, response) => {
      const parts: Buffer[] = [];
      request.on("data", (part: Buffer) => parts.push(part));
      request.on("end", () => {
        const whole = Buffer.concat(parts);
        if (request.url === "/length") response.setHeader("content-length", whole.length);
        response.setHeader("x-got", digest(whole.toString("latin1")));
        response.end(whole);
      });
    });
    await using proxy = await TestProxy.open([localAt(origin.port)]);
    for (const method of ["POST", "PUT"]) {
      using client = await RawClient.connect(proxy.server.port);
      client.write(requestFor(method, "/length", "", body));
      const plain = await client.response();
      expect(plain.head).toContain(digest(body));
      expect(digest(plain.body)).toBe(digest(body));
      const half = Math.floor(size / 2);
      const chunks = [body.slice(0, half), body.slice(half)].filter((part) => part !== "").map((part) => `${part.length.toString(16)}\r\n${part}\r\n`);
      client.write(`${method} /chunks HTTP/1.1\r\nHost: catalog.web\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n${chunks.join("")}0\r\n\r\n`);
      const text = await client.untilEnd();
      expect(text).toContain(digest(body));
      const headEnd = text.indexOf("\r\n\r\n") + 4;
      const received = /transfer-encoding: chunked/i.test(text.slice(0, headEnd)) ? dechunk(text.slice(headEnd)) : text.slice(headEnd);
      expect(digest(received)).toBe(digest(body));
    }
  });

  test("that a slow client does not read do not pile up in the proxy", async () => {
    const size = 64 * 1024 * 1024;
    await using origin = await httpOrigin((_request, response) => {
      response.setHeader("content-length", size);
      const block = Buffer.alloc(65_536, "x");
      let left = size;
      const more = (): void => {
        while (left > 0) {
          left -= block.length;
          if (!response.write(block)) {
            response.once("drain", more);
            return;
          }
        }
        response.end();
      };
      more();
    });
    await using proxy = await TestProxy.open([localAt(origin.port)]);
    using client = await RawClient.connect(proxy.server.port);
    client.socket.pause();
    client.write(requestFor("GET", "/"));
    await eventually(() => (origin.sockets[0]?.writableLength ?? 0) > 0);
    for (let turn = 0; turn < 200; turn++) await new Promise<void>((resolve) => setImmediate(resolve));
    const sentByOrigin = origin.sockets[0]?.bytesWritten ?? 0;
    expect(sentByOrigin).toBeLessThan(32 * 1024 * 1024);
    let received = 0;
    client.socket.removeAllListeners("data");
    client.socket.on("data", (chunk: Buffer) => (received += chunk.length));
    client.socket.resume();
    await eventually(() => received >= size);
  });

  test("with Expect: 100-continue are asked for", async () => {
    await using origin = await httpOrigin((request, response) => {
      request.resume();
      request.on("end", () => response.end(String(request.headers.expect)));
    });
    await using proxy = await TestProxy.open([localAt(origin.port)]);
    using client = await RawClient.connect(proxy.server.port);
    client.write("POST / HTTP/1.1\r\nHost: catalog.web\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n");
    await client.until(() => client.text === "HTTP/1.1 100 Continue\r\n\r\n");
    client.text = "";
    client.write("body");
    expect((await client.response()).body).toBe("undefined");
  });

  test("of event streams arrive as they are sent", async () => {
    let push: (text: string) => void = () => undefined;
    await using origin = await httpOrigin((_request, response) => {
      response.setHeader("content-type", "text/event-stream");
      response.write("data: 1\n\n");
      push = (text) => void response.write(text);
    });
    await using proxy = await TestProxy.open([localAt(origin.port)]);
    using client = await RawClient.connect(proxy.server.port);
    client.write(requestFor("GET", "/"));
    await client.until(() => client.text.includes("data: 1\n\n"));
    push("data: 2\n\n");
    await client.until(() => client.text.includes("data: 2\n\n"));
  });

  test("of other slow responses are released after the hold time", async () => {
    await using origin = await httpOrigin((_request, response) => void response.write("first"));
    await using proxy = await TestProxy.open([localAt(origin.port)]);
    using client = await RawClient.connect(proxy.server.port);
    client.write(requestFor("GET", "/"));
    // The response timer and the deadline are armed once its first bytes are here.
    await eventually(() => proxy.wheel.size >= 4);
    await proxy.clock.advance(300);
    await client.until(() => client.text.includes("first"));
  });

  test("of HEAD, 204 and 304 are absent, and the connection goes on", async () => {
    await using origin = await httpOrigin((request, response) => {
      response.statusCode = request.method === "HEAD" ? 200 : Number(request.url?.slice(1));
      if (request.method === "HEAD") response.setHeader("content-length", "1234");
      response.end();
    });
    await using proxy = await TestProxy.open([localAt(origin.port)]);
    using client = await RawClient.connect(proxy.server.port);
    client.write("HEAD / HTTP/1.1\r\nHost: catalog.web\r\n\r\n");
    await client.until(() => client.text.includes("\r\n\r\n"));
    expect(client.text).toMatch(/content-length: 1234/i);
    client.text = "";
    for (const status of [204, 304, 200]) {
      client.write(requestFor("GET", `/${status}`));
      expect((await client.response()).status).toBe(status);
    }
  });

  test("carry their trailers in chunks", async () => {
    await using origin = await rawOrigin(answering(() => "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nx-sum: 7\r\n\r\n"));
    await using proxy = await TestProxy.open([localAt(origin.port)]);
    using client = await RawClient.connect(proxy.server.port);
    client.write(requestFor("GET", "/"));
    await client.until(() => client.text.endsWith("3\r\nabc\r\n0\r\nx-sum: 7\r\n\r\n"));
  });
});

describe("retries", () => {
  test("after a refused connection go to another place, for any method", async () => {
    await using origin = await httpOrigin((request, response) => void response.end(String(request.headers["x-atoll-attempt"])));
    await using proxy = await TestProxy.open([localAt(await closedPort()), remoteAt("far", origin.port)]);
    using client = await RawClient.connect(proxy.server.port);
    client.write(requestFor("POST", "/", "", "body"));
    expect(await client.response()).toMatchObject({ status: 200, body: "2" });
  });

  test("after a reset before the response was complete go elsewhere, and the client sees one whole response", async () => {
    await using broken = await rawOrigin((socket) => {
      socket.on("data", () => {
        socket.write("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf of it", () => socket.resetAndDestroy());
      });
    });
    await using origin = await httpOrigin((_request, response) => void response.end("whole"));
    await using proxy = await TestProxy.open([localAt(broken.port), remoteAt("far", origin.port)]);
    using client = await RawClient.connect(proxy.server.port);
    client.write(requestFor("GET", "/"));
    expect(await client.response()).toMatchObject({ status: 200, body: "whole" });
    expect([...proxy.telemetry.series()].map(({ cluster, retries }) => [cluster, retries])).toEqual([["far", 1]]);
  });

  test("are not made for a POST once it was sent", async () => {
    let posts = 0;
    await using broken = await rawOrigin((socket) => {
      socket.on("data", () => {
        posts++;
        socket.resetAndDestroy();
      });
    });
    await using origin = await httpOrigin((_request, response) => {
      posts++;
      response.end();
    });
    await using proxy = await TestProxy.open([localAt(broken.port), remoteAt("far", origin.port)]);
    using client = await RawClient.connect(proxy.server.port);
    client.write(requestFor("POST", "/", "", "body"));
    const { status, head } = await client.response();
    expect([status, /x-atoll-reason: (\S+)/.exec(head)?.[1], posts]).toEqual([503, "upstream_reset", 1]);
    expect(proxy.logLines[0]).toContain(" 503 UC ");
  });

  test("for 503 stop when the policy's tries are used up", async () => {
    let requests = 0;
    await using origin = await httpOrigin((_request, response) => {
      requests++;
      response.statusCode = 503;
      response.end("busy");
    });
    await using proxy = await TestProxy.open([localAt(origin.port)]);
    using client = await RawClient.connect(proxy.server.port);
    client.write(requestFor("GET", "/"));
    expect(await client.response()).toMatchObject({ status: 503, body: "busy" });
    expect(requests).toBe(3);
    expect(proxy.logLines[0]).toContain(" 503 URX ");
    // Retried by an earlier hop already: no second round of tries here.
    client.write(requestFor("GET", "/", "x-atoll-attempt: 2\r\n"));
    await client.response();
    expect(requests).toBe(4);
  });

  test("stay within the budget when everything fails", async () => {
    let requests = 0;
    await using origin = await httpOrigin((_request, response) => {
      requests++;
      response.statusCode = 503;
      response.end();
    });
    await using proxy = await TestProxy.open([localAt(origin.port)]);
    using client = await RawClient.connect(proxy.server.port);
    for (let count = 0; count < 100; count++) {
      client.write(requestFor("GET", "/"));
      await client.response();
    }
    // Nothing is answered, so that only the floor of three remains.
    expect(requests).toBeLessThanOrEqual(103);
    expect(requests).toBeGreaterThan(100);
  });

  test("soon stop where the application that they come to fails, too", async () => {
    let requests = 0;
    await using origin = await httpOrigin((_request, response) => {
      requests++;
      response.statusCode = requests <= 100 ? 200 : 503;
      response.end();
    });
    await using proxy = await TestProxy.open([localAt(origin.port)]);
    using client = await RawClient.connect(proxy.server.port);
    for (let count = 0; count < 200; count++) {
      client.write(requestFor("GET", "/"));
      await client.response();
    }
    // A fifth of the answers, of which each one in vain takes three; a request's second is asked for before its first is known to be in vain.
    expect(requests).toBeLessThanOrEqual(200 + Math.ceil((100 * 0.2) / vainRetryCost) + 1);
    expect(requests).toBeGreaterThan(200);
  });

  test("of a large response that broke after its start are not made: the client sees a reset", async () => {
    await using broken = await rawOrigin((socket) => {
      socket.on("data", () => {
        socket.write(`HTTP/1.1 200 OK\r\nContent-Length: 200000\r\n\r\n${"x".repeat(100_000)}`, () => socket.end());
      });
    });
    await using proxy = await TestProxy.open([localAt(broken.port)]);
    using client = await RawClient.connect(proxy.server.port);
    client.write(requestFor("GET", "/"));
    await client.untilEnd();
    await eventually(() => client.closed);
    expect(client.failed).toBe(true);
    expect(proxy.logLines[0]).toContain(" 200 UC ");
  });

  test("of a kept connection that turned out dead open a new one to the same endpoint", async () => {
    await using origin = await rawOrigin((socket, index) => {
      let served = 0;
      socket.on("data", () => {
        if (index === 0 && served++ > 0) socket.resetAndDestroy();
        else socket.write(ok(`connection ${index}`));
      });
    });
    await using proxy = await TestProxy.open([localAt(origin.port)]);
    using client = await RawClient.connect(proxy.server.port);
    client.write(requestFor("GET", "/"));
    expect((await client.response()).body).toBe("connection 0");
    client.write(requestFor("GET", "/"));
    expect((await client.response()).body).toBe("connection 1");
  });

  test("move to another place when a gateway falls silent under a request", async () => {
    let held = 0;
    await using silent = await rawOrigin((socket) => socket.on("data", () => held++));
    await using origin = await httpOrigin((_request, response) => void response.end("elsewhere"));
    await using proxy = await TestProxy.open([remoteAt("dead", silent.port), remoteAt("far", origin.port)], {
      policy: { locality: { mode: "ordered", order: ["region-of-dead" as never] } },
    });
    using client = await RawClient.connect(proxy.server.port);
    client.write(requestFor("GET", "/"));
    await eventually(() => held === 1);
    proxy.pools.doubtAddress("127.0.0.1", silent.port);
    expect((await client.response()).body).toBe("elsewhere");
  });
});

describe("newcomers", () => {
  test.runIf(process.platform === "linux")("come in by several for each turn of the loop, so that a busy loop does not keep them out", async () => {
    await using proxy = await TestProxy.open([localAt(await closedPort())]);
    const count = 64;
    const sockets = Array.from({ length: count }, () => connect({ host: "127.0.0.1", port: proxy.server.port, autoSelectFamily: false }));
    try {
      let turns = 0;
      for (; proxy.server.http.connections < count && turns < 10 * count; turns++) await new Promise((resolve) => setImmediate(resolve));
      expect(proxy.server.http.connections).toBe(count);
      expect(turns).toBeLessThan(count);
    } finally {
      for (const socket of sockets) socket.destroy();
    }
  });

  test("find out that another listens on the port", async () => {
    await using proxy = await TestProxy.open([localAt(await closedPort())]);
    await expect(TestProxy.open([localAt(await closedPort())], { port: proxy.server.port })).rejects.toMatchObject({ code: "ATOLL_PORT_TAKEN" });
  });
});

describe("limits", () => {
  test("a request that takes longer than its policy allows gets 504", async () => {
    await using origin = await rawOrigin((socket) => socket.on("data", () => undefined));
    await using proxy = await TestProxy.open([localAt(origin.port)]);
    using client = await RawClient.connect(proxy.server.port);
    client.write(requestFor("GET", "/"));
    await eventually(() => origin.sockets.length === 1 && (origin.sockets[0]?.bytesRead ?? 0) > 0);
    await proxy.clock.advance(16_000);
    expect((await client.response()).status).toBe(504);
    expect(proxy.logLines[0]).toContain(" 504 UT ");
  });

  test("a head that trickles in is cut off after its time", async () => {
    await using proxy = await TestProxy.open([]);
    using client = await RawClient.connect(proxy.server.port);
    client.write("GET / HTTP/1.1\r\nHos");
    await eventually(() => proxy.server.http.connections === 1);
    for (let turn = 0; turn < 20; turn++) await new Promise<void>((resolve) => setImmediate(resolve));
    await proxy.clock.advance(11_000);
    expect(await client.untilEnd()).toMatch(/^HTTP\/1\.1 408 /);
  });

  test("an idle connection is ended after its time", async () => {
    await using proxy = await TestProxy.open([]);
    using client = await RawClient.connect(proxy.server.port);
    await eventually(() => proxy.server.http.connections === 1);
    await proxy.clock.advance(125_000);
    expect(await client.untilEnd()).toBe("");
  });

  test("more requests at once than allowed get 503 with the flag UO", async () => {
    await using origin = await rawOrigin((socket) => socket.on("data", () => undefined));
    await using proxy = await TestProxy.open([localAt(origin.port)], { requestsInFlightMax: 1 });
    using first = await RawClient.connect(proxy.server.port);
    first.write(requestFor("GET", "/"));
    await eventually(() => (origin.sockets[0]?.bytesRead ?? 0) > 0);
    using second = await RawClient.connect(proxy.server.port);
    second.write(requestFor("GET", "/"));
    expect((await second.response()).status).toBe(503);
    expect(proxy.logLines[0]).toContain(" 503 UO ");
  });

  test("more connections than allowed are refused", async () => {
    await using proxy = await TestProxy.open([], { connectionsMax: 1 });
    using _first = await RawClient.connect(proxy.server.port);
    await eventually(() => proxy.server.http.connections === 1);
    // Whether the reset arrives before or after its connect is told is the kernel's to choose.
    const second = await RawClient.connect(proxy.server.port).catch(() => undefined);
    await second?.untilEnd();
    await eventually(() => proxy.server.http.refused === 1);
    expect(proxy.server.http.connections).toBe(1);
  });

  test("a client that leaves frees its request, and the connection carries the next one once the old answer has been read", async () => {
    const answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    let requests = 0;
    await using origin = await rawOrigin((socket) => socket.on("data", () => void (++requests > 1 && socket.write(answer))));
    await using proxy = await TestProxy.open([localAt(origin.port)]);
    using client = await RawClient.connect(proxy.server.port);
    client.write(requestFor("GET", "/"));
    await eventually(() => (origin.sockets[0]?.bytesRead ?? 0) > 0);
    client.socket.destroy();
    await eventually(() => proxy.telemetry.active === 0 && proxy.pools.pools().every((pool) => pool.load.inFlight === 0));
    expect(proxy.logLines[0]).toContain(" 0 DC ");
    origin.sockets[0]?.write(answer);
    await eventually(() => proxy.pools.pools().some((pool) => pool.connections === 1 && pool.streams === 0));
    using second = await RawClient.connect(proxy.server.port);
    second.write(requestFor("GET", "/again"));
    await second.until(() => second.text.endsWith("ok"));
    expect(origin.sockets).toHaveLength(1);
  });
});

describe("upgrades", () => {
  test("become a tunnel both ways, bytes sent early included", async () => {
    await using origin = await rawOrigin((socket) => {
      let head = "";
      let switched = false;
      socket.on("data", (chunk: Buffer) => {
        if (switched) {
          socket.write(chunk);
          return;
        }
        head += chunk.toString("latin1");
        if (!head.includes("\r\n\r\n")) return;
        switched = true;
        socket.write(`HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nX-Saw: ${/upgrade: \S+/i.exec(head)?.[0] ?? ""}\r\n\r\nwelcome `);
      });
      socket.on("end", () => socket.end());
    });
    await using proxy = await TestProxy.open([localAt(origin.port)]);
    using client = await RawClient.connect(proxy.server.port);
    client.write(requestFor("GET", "/chat", "Connection: Upgrade\r\nUpgrade: websocket\r\n") + "early ");
    await client.until(() => client.text.endsWith("\r\n\r\nwelcome early "));
    expect(client.text).toMatch(/^HTTP\/1\.1 101 .*X-Saw: upgrade: websocket/s);
    client.write("later");
    await client.until(() => client.text.endsWith("later"));
    client.socket.end();
    await client.untilEnd();
    await eventually(() => proxy.telemetry.active === 0);
    expect(proxy.logLines[0]).toContain(" 101 - 11 19 ");
  });

  test("that the server declines are plain responses", async () => {
    await using origin = await httpOrigin((_request, response) => void response.end("no"));
    await using proxy = await TestProxy.open([localAt(origin.port)]);
    using client = await RawClient.connect(proxy.server.port);
    client.write(requestFor("GET", "/", "Connection: Upgrade\r\nUpgrade: websocket\r\n"));
    expect(await client.response()).toMatchObject({ status: 200, body: "no" });
    client.write(requestFor("GET", "/"));
    expect((await client.response()).body).toBe("no");
  });

  test("nobody asked for are a broken protocol", async () => {
    await using origin = await rawOrigin(answering(() => "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n"));
    await using proxy = await TestProxy.open([localAt(origin.port)]);
    using client = await RawClient.connect(proxy.server.port);
    client.write(requestFor("GET", "/"));
    expect((await client.response()).status).toBe(502);
  });
});

describe("what upstream may not do", () => {
  test.each([
    ["frame a response by closing", "HTTP/1.1 200 OK\r\n\r\nunframed"],
    ["send both lengths", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"],
    ["send a status that is none", "HTTP/1.1 2000 OK\r\nContent-Length: 0\r\n\r\n"],
  ])("%s", async (_name, response) => {
    await using origin = await rawOrigin(answering(() => response));
    await using proxy = await TestProxy.open([localAt(origin.port)]);
    using client = await RawClient.connect(proxy.server.port);
    client.write(requestFor("GET", "/"));
    expect((await client.response()).status).toBe(502);
    expect(proxy.logLines[0]).toContain(" 502 UPE ");
  });

  test("slip a second response to the next request", async () => {
    await using origin = await rawOrigin(answering((_request, index) => (index === 0 ? ok("first") + ok("injected") : ok("second"))));
    await using proxy = await TestProxy.open([localAt(origin.port)]);
    using client = await RawClient.connect(proxy.server.port);
    client.write(requestFor("GET", "/"));
    expect((await client.response()).body).toBe("first");
    client.write(requestFor("GET", "/"));
    expect((await client.response()).body).toBe("second");
  });
});

describe("draining", () => {
  test("finishes what is under way, then ends", async () => {
    let finish: () => void = () => undefined;
    await using origin = await httpOrigin((_request, response) => {
      finish = () => void response.end("done");
    });
    await using proxy = await TestProxy.open([localAt(origin.port)]);
    using busy = await RawClient.connect(proxy.server.port);
    using idle = await RawClient.connect(proxy.server.port);
    busy.write(requestFor("GET", "/"));
    await eventually(() => (origin.sockets[0]?.bytesRead ?? 0) > 0 && proxy.server.http.connections === 2);
    const drained = proxy.server.drain(new AbortController().signal);
    await idle.untilEnd();
    idle.socket.end();
    finish();
    expect((await busy.response()).head).toContain("connection: close");
    busy.socket.end();
    await drained;
    expect(proxy.server.http.connections).toBe(0);
  });
});

describe("a new snapshot", () => {
  test("carries connections over and ends those to endpoints that are gone", async () => {
    await using first = await httpOrigin((_request, response) => void response.end("first"));
    await using second = await httpOrigin((_request, response) => void response.end("second"));
    await using proxy = await TestProxy.open([localAt(first.port)]);
    using client = await RawClient.connect(proxy.server.port);
    client.write(requestFor("GET", "/"));
    expect((await client.response()).body).toBe("first");
    proxy.routes.apply(snapshotOf(catalogAt([localAt(first.port)])));
    client.write(requestFor("GET", "/"));
    expect((await client.response()).body).toBe("first");
    expect(first.sockets).toHaveLength(1);
    proxy.routes.apply(snapshotOf(catalogAt([localAt(second.port)])));
    client.write(requestFor("GET", "/"));
    expect((await client.response()).body).toBe("second");
    await eventually(() => proxy.pools.pools().length === 1);
    proxy.routes.apply(snapshotOf());
    client.write(requestFor("GET", "/"));
    expect((await client.response()).status).toBe(404);
  });
});

function dechunk(text: string): string {
  let body = "";
  for (let at = 0; ; ) {
    const lineEnd = text.indexOf("\r\n", at);
    const size = Number.parseInt(text.slice(at, lineEnd), 16);
    if (!(size > 0)) return body;
    body += text.slice(lineEnd + 2, lineEnd + 2 + size);
    at = lineEnd + 2 + size + 2;
  }
}
