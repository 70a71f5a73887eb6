import { expect, test } from "vitest";
import { localAt, RawClient, rawOrigin, remoteAt, TestProxy } from "../http/proxy-fixture.ts";
import { PlayedConnector, TestCallee } from "./hop-fixture.ts";

/** An application that answers whoever has sent a head with a head of so many bytes. */
const answering = (headBytes: number, onRequest: (head: string) => void = () => undefined) =>
  rawOrigin((socket) => {
    let text = "";
    socket.on("data", (chunk) => {
      text += chunk.toString("latin1");
      if (!text.endsWith("\r\n\r\n")) return;
      onRequest(text);
      text = "";
      const rest = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Large: \r\n\r\n";
      socket.write(`HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Large: ${"a".repeat(headBytes - rest.length)}\r\n\r\nok`);
    });
    socket.on("end", () => socket.end());
  });

/** A request whose head has so many bytes. */
function headOf(bytes: number): string {
  const rest = "GET / HTTP/1.1\r\nHost: catalog.web\r\nX-Large: \r\n\r\n";
  return rest.replace("X-Large: ", `X-Large: ${"a".repeat(bytes - rest.length)}`);
}

test("heads of 64 KiB pass both ways, over the hop and with what sidecars add", async () => {
  let seen = "";
  await using app = await answering(65_536, (head) => (seen = head));
  await using callee = await TestCallee.open(app.port);
  await using proxy = await TestProxy.open([localAt(callee.port)], { connector: new PlayedConnector() });
  using client = await RawClient.connect(proxy.server.port);
  client.write(headOf(65_536));
  const answer = await client.response();
  expect([answer.status, answer.body]).toEqual([200, "ok"]);
  expect(answer.head).toContain("a".repeat(65_000));
  expect(seen).toContain("a".repeat(65_000));
});

test("a response's head beyond the bound is refused once, by the bound's name, figure and setting, and no place is blamed", async () => {
  let asked = 0;
  await using app = await answering(65_537, () => asked++);
  await using callee = await TestCallee.open(app.port);
  await using other = await TestCallee.open(app.port);
  await using proxy = await TestProxy.open([localAt(callee.port), remoteAt("there", other.port)], { connector: new PlayedConnector() });
  using client = await RawClient.connect(proxy.server.port);
  for (let round = 1; round <= 10; round++) {
    client.write(headOf(100));
    const answer = await client.response();
    expect(answer.status).toBe(502);
    expect(answer.head).toContain("x-atoll-reason: upstream_head_too_large; max=65536\r\n");
    expect(answer.body).toBe("upstream_head_too_large; max=65536\nThe response is beyond this bound; limits.headBytes in the configuration of the sidecars on its way raises it.\n");
    expect(asked).toBe(round);
  }
  expect(proxy.logLines.every((line) => line.includes(" 502 UPE "))).toBe(true);
  expect(other.inbound.hop.sessions).toBe(0);
});

test("a request's head beyond the bound, and one with too many fields, are refused so by the sidecar that reads them first", async () => {
  await using app = await answering(100);
  await using proxy = await TestProxy.open([localAt(app.port)]);
  using large = await RawClient.connect(proxy.server.port);
  large.write(headOf(65_537));
  const tooLarge = await large.response();
  expect(tooLarge.status).toBe(431);
  expect(tooLarge.body).toBe("head_too_large; max=65536\nThe request is beyond this bound; limits.headBytes in the configuration of the sidecars on its way raises it.\n");
  using many = await RawClient.connect(proxy.server.port);
  many.write(`GET / HTTP/1.1\r\nHost: catalog.web\r\n${"X-A: b\r\n".repeat(100)}\r\n`);
  const tooMany = await many.response();
  expect(tooMany.status).toBe(431);
  expect(tooMany.body).toContain("too_many_fields; max=100\n");
  expect(tooMany.body).toContain("limits.fields");
});
