import { once } from "node:events";
import { createServer, type AddressInfo } from "node:net";
import { connect } from "node:tls";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { ClientHelloReader, helloBytesMax, type HelloReading } from "./client-hello.ts";

/** The ClientHello that Node's own TLS really sends. */
async function realHello(servername: string): Promise<Buffer> {
  const server = createServer();
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const client = connect({ port: (server.address() as AddressInfo).port, host: "127.0.0.1", servername, rejectUnauthorized: false });
  client.on("error", () => {});
  const [socket] = (await once(server, "connection")) as [import("node:net").Socket];
  const chunks: Buffer[] = [];
  const whole = (): number => (chunks.length === 0 ? Number.POSITIVE_INFINITY : 5 + Buffer.concat(chunks).readUInt16BE(3));
  socket.on("data", (chunk: Buffer) => {
    chunks.push(chunk);
    if (Buffer.concat(chunks).length >= whole()) socket.destroy();
  });
  await once(socket, "close");
  client.destroy();
  server.close();
  return Buffer.concat(chunks);
}

function read(pieces: readonly Buffer[]): HelloReading {
  const reader = new ClientHelloReader();
  let last: HelloReading = { kind: "more" };
  for (const piece of pieces) {
    last = reader.push(piece);
    if (last.kind !== "more") break;
  }
  return last;
}

function bytewise(bytes: Buffer): Buffer[] {
  return Array.from(bytes, (byte) => Buffer.of(byte));
}

/** The same handshake message spread over records of `size` bytes. */
function overRecords(hello: Buffer, size: number): Buffer {
  const message = hello.subarray(5);
  const records: Buffer[] = [];
  for (let at = 0; at < message.length; at += size) {
    const part = message.subarray(at, at + size);
    records.push(Buffer.of(22, 3, 1, part.length >> 8, part.length & 0xff), part);
  }
  return Buffer.concat(records);
}

/** A ClientHello with exactly these extensions. */
function hello(extensions: Buffer | undefined): Buffer {
  const body: Buffer[] = [Buffer.of(3, 3), Buffer.alloc(32), Buffer.of(0), Buffer.of(0, 2, 0x13, 0x01), Buffer.of(1, 0)];
  if (extensions !== undefined) body.push(u16(extensions.length), extensions);
  const content = Buffer.concat(body);
  const message = Buffer.concat([Buffer.of(1, 0), u16(content.length), content]);
  return Buffer.concat([Buffer.of(22, 3, 1), u16(message.length), message]);
}
function serverName(name: string | Buffer): Buffer {
  const text = Buffer.from(name);
  const list = Buffer.concat([Buffer.of(0), u16(text.length), text]);
  const content = Buffer.concat([u16(list.length), list]);
  return Buffer.concat([Buffer.of(0, 0), u16(content.length), content]);
}
function u16(value: number): Buffer {
  return Buffer.of(value >> 8, value & 0xff);
}

const name = "p8080.catalog.web.svc.shop.example";

describe("ClientHelloReader", () => {
  it("reads Node's own ClientHello whole, byte by byte, and over records of any size", async () => {
    const bytes = await realHello("P8080.Catalog.web.svc.SHOP.example");
    expect(bytes.length).toBeGreaterThan(200);
    expect(read([bytes])).toEqual({ kind: "name", sni: name });
    expect(read(bytewise(bytes))).toEqual({ kind: "name", sni: name });
    for (const size of [1, 3, 100, 1000]) expect(read(bytewise(overRecords(bytes, size)))).toEqual({ kind: "name", sni: name });
  });

  it("gives back every byte, also those behind the hello", () => {
    const bytes = Buffer.concat([hello(serverName(name)), Buffer.from("early")]);
    const reader = new ClientHelloReader();
    expect(reader.push(bytes.subarray(0, 20))).toEqual({ kind: "more" });
    expect(reader.push(bytes.subarray(20))).toEqual({ kind: "name", sni: name });
    expect(reader.bytes.equals(bytes)).toBe(true);
  });

  it.each([
    ["no extensions", hello(undefined), "noName"],
    ["no server name", hello(Buffer.alloc(0)), "noName"],
    ["a trailing dot", hello(serverName(`${name}.`)), "badName"],
    ["an address", hello(serverName("127.0.0.1")), "badName"],
    ["an IPv6 address", hello(serverName("::1")), "badName"],
    ["an underscore", hello(serverName("a_b.example")), "badName"],
    ["a zero byte", hello(serverName(Buffer.from([97, 0, 98]))), "badName"],
    ["a line break", hello(serverName("a\r\nb")), "badName"],
    ["an empty name", hello(serverName("")), "malformed"],
    ["two names", hello(Buffer.concat([serverName("a.example"), serverName("b.example")])), "malformed"],
    ["plain HTTP", Buffer.from("GET / HTTP/1.1\r\n\r\n"), "notTls"],
    ["SSL 2", Buffer.of(0x80, 0x2e, 1, 0, 2, 0), "notTls"],
    ["an empty record", Buffer.of(22, 3, 1, 0, 0), "malformed"],
    ["a record that is too long", Buffer.of(22, 3, 1, 0x50, 0), "malformed"],
    ["a hello that is too long", Buffer.concat([Buffer.of(22, 3, 1, 0, 4), Buffer.of(1, 1, 0, 0)]), "tooLarge"],
    ["another handshake message", Buffer.concat([Buffer.of(22, 3, 1, 0, 4), Buffer.of(2, 0, 0, 0)]), "malformed"],
    ["another record inside the hello", Buffer.concat([Buffer.of(22, 3, 1, 0, 5), Buffer.of(1, 0, 0, 99, 3), Buffer.of(23, 3, 3, 0, 1, 0)]), "malformed"],
  ] as const)("refuses %s", (_what, bytes, fault) => {
    expect(read([bytes])).toEqual({ kind: "refused", fault });
    expect(read(bytewise(bytes))).toEqual({ kind: "refused", fault });
  });

  it("stops at its bound however slowly the bytes come", () => {
    const endless = Buffer.alloc(helloBytesMax * 2);
    for (let at = 0; at + 6 <= endless.length; at += 6) endless.set([22, 3, 1, 0, 1, at === 0 ? 1 : at === 12 ? 0x3f : 0], at);
    expect(read(bytewise(endless))).toEqual({ kind: "refused", fault: "tooLarge" });
  });

  it("finds any exported name in any split, and never throws on damage", () => {
    fc.assert(
      fc.property(
        fc.array(fc.nat({ max: 300 }), { maxLength: 12 }),
        fc.integer({ min: 1, max: 64 }),
        fc.domain().filter((text) => /^[a-z0-9.-]+$/i.test(text) && text.split(".").every((label) => label.length <= 63)),
        fc.array(fc.tuple(fc.nat(), fc.nat({ max: 255 })), { maxLength: 4 }),
        (cuts, recordSize, domain, damage) => {
          const bytes = overRecords(hello(serverName(domain)), recordSize);
          const points = [0, ...cuts.map((cut) => cut % bytes.length).sort((left, right) => left - right), bytes.length];
          const pieces = points.slice(1).map((end, index) => bytes.subarray(points[index], end));
          expect(read(pieces)).toEqual({ kind: "name", sni: domain.toLowerCase() });
          const damaged = Buffer.from(bytes);
          for (const [at, value] of damage) damaged[at % damaged.length] = value;
          const whole = read([damaged]);
          expect(["more", "name", "refused"]).toContain(whole.kind);
          // However it is cut, damage is judged the same.
          expect(read(bytewise(damaged))).toEqual(whole);
        },
      ),
      { numRuns: 300 },
    );
  });
});
