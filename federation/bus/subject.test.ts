import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { createSubjectMatcher, isSubject, isSubjectPattern } from "./subject.ts";
import { parseSocketAddress, formatSocketAddress } from "./socket-address.ts";
import { encodeFrame, SocketFrameReader, SocketFrameError, type SocketFrame } from "./socket-frames.ts";

describe("subjects", () => {
  it.each([
    ["a.b", "a.b", true],
    ["a.b", "a.c", false],
    ["a.*", "a.b", true],
    ["a.*", "a.b.c", false],
    ["*.b", "a.b", true],
    ["a.>", "a.b.c", true],
    ["a.>", "a", false],
    [">", "a", true],
    ["a.*.>", "a.b", false],
    ["a.*.>", "a.b.c", true],
    ["a", "A", false],
  ])("%s against %s: %s", (pattern, subject, expected) => {
    expect(createSubjectMatcher(pattern)(subject)).toBe(expected);
  });

  it("match as a regular expression made from the pattern would", () => {
    const token = fc.constantFrom("a", "b", "up", "eu-1", "_INBOX");
    const pattern = fc
      .tuple(fc.array(fc.oneof(token, fc.constant("*")), { minLength: 1, maxLength: 4 }), fc.boolean())
      .map(([tokens, isOpen]) => [...tokens, ...(isOpen ? [">"] : [])].join("."));
    const subject = fc.array(token, { minLength: 1, maxLength: 6 }).map((tokens) => tokens.join("."));
    fc.assert(
      fc.property(pattern, subject, (given, text) => {
        const source = given.replaceAll(".", "\\.").replaceAll("*", "[^.]+").replace(/>$/, ".+");
        expect(createSubjectMatcher(given)(text)).toBe(new RegExp(`^${source}$`).test(text));
      }),
    );
  });

  it("are told from patterns", () => {
    expect([isSubject("a.b-1._c"), isSubject("a.*"), isSubject("a.b*")]).toEqual([true, false, false]);
    expect([isSubjectPattern("a.*.>"), isSubjectPattern(">.a"), isSubjectPattern("a.b*")]).toEqual([true, false, false]);
  });
});

describe("socket addresses", () => {
  it.each(["/run/atoll/bus.sock", "tcp://127.0.0.1:4333", "tcp://[::1]:0"])("%s is read and written back", (text) => {
    expect(formatSocketAddress(parseSocketAddress(text))).toBe(text);
  });
  it.each(["", `/${"x".repeat(120)}`, "tcp://10.0.0.1:1", "tcp://localhost:1", "tcp://127.0.0.1:99999", "tcp://127.0.0.1"])("%s is refused", (text) => {
    expect(() => parseSocketAddress(text)).toThrow(expect.objectContaining({ code: "ATOLL_CONFIG_INVALID" }));
  });
});

describe("socket frames", () => {
  const subject = fc.constantFrom("a", "a.b.c", "_INBOX.1234.x");
  const payload = fc.uint8Array({ maxLength: 300 });
  const id = fc.nat(0xffff_ffff);
  const frame: fc.Arbitrary<SocketFrame> = fc.oneof(
    fc.record({ kind: fc.constant("hello" as const), version: fc.nat(255) }),
    fc.record({ kind: fc.constant("subscribe" as const), id, pattern: subject }),
    fc.record({ kind: fc.constant("unsubscribe" as const), id }),
    fc.record({ kind: fc.constant("publish" as const), subject, replyTo: fc.oneof(subject, fc.constant("")), payload }),
    fc.record({ kind: fc.constant("message" as const), id, subject, replyTo: subject, payload }),
    fc.record({ kind: fc.constant("nobody" as const), replyTo: subject }),
    fc.record({ kind: fc.constantFrom("ping" as const, "pong" as const) }),
  );
  const comparable = (given: SocketFrame): unknown => ("payload" in given ? { ...given, payload: [...given.payload] } : given);

  it("come back the same, however the stream is cut", () => {
    fc.assert(
      fc.property(fc.array(frame, { maxLength: 8 }), fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1 }), (frames, cuts) => {
        const stream = Buffer.concat(frames.map(encodeFrame));
        const reader = new SocketFrameReader();
        const read: SocketFrame[] = [];
        for (let start = 0, turn = 0; start < stream.length; turn++) {
          const end = start + (cuts[turn % cuts.length] ?? 1);
          read.push(...reader.push(stream.subarray(start, end)));
          start = end;
        }
        expect(read.map(comparable)).toEqual(frames.map(comparable));
      }),
    );
  });

  it("of any other bytes are refused with the declared error only", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        try {
          new SocketFrameReader().push(Buffer.from(bytes));
        } catch (error) {
          expect(error).toBeInstanceOf(SocketFrameError);
        }
      }),
    );
  });
});
