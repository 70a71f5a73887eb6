import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { readMessages } from "./parse-whole.ts";
import { acceptedCorpus, smugglingCorpus } from "./smuggling-corpus.ts";

const bytes = (text: string): Buffer => Buffer.from(text, "latin1");

/** `text` cut at the given places. */
function split(text: string, cuts: readonly number[]): Buffer[] {
  const whole = bytes(text);
  const sorted = [0, ...cuts.map((cut) => cut % (whole.length + 1)), whole.length].sort((left, right) => left - right);
  return sorted.slice(1).map((cut, index) => whole.subarray(sorted[index], cut));
}

describe("the request parser", () => {
  test.each(smugglingCorpus.map(({ name, text, fault }) => [name, text, fault]))("refuses %s", (_name, text, fault) => {
    expect(readMessages("request", [bytes(text ?? "")]).fault).toBe(fault);
  });

  test("refuses in pieces what it refuses in one piece", () => {
    fc.assert(
      fc.property(fc.constantFrom(...smugglingCorpus), fc.array(fc.nat(), { maxLength: 6 }), ({ text }, cuts) => {
        const { fault, messages } = readMessages("request", split(text, cuts));
        expect(fault).toBeDefined();
        expect(messages.filter((message) => message.complete)).toEqual([]);
      }),
    );
  });

  test("reads in pieces what it reads in one piece", () => {
    fc.assert(
      fc.property(fc.constantFrom(...acceptedCorpus), fc.array(fc.nat(), { maxLength: 12 }), (text, cuts) => {
        const whole = readMessages("request", [bytes(text)]);
        expect(whole.fault).toBeUndefined();
        expect(readMessages("request", split(text, cuts))).toEqual(whole);
      }),
      { numRuns: 500 },
    );
  });

  test("reads the last of the corpus byte by byte", () => {
    for (const text of acceptedCorpus) {
      const single = readMessages("request", [...bytes(text)].map((byte) => Buffer.from([byte])));
      expect(single.fault).toBeUndefined();
      expect(single.messages.every((message) => message.complete)).toBe(true);
    }
  });

  test("takes the host from the target's authority only when both agree", () => {
    expect(readMessages("request", [bytes("GET http://a:80?q HTTP/1.1\r\nHost: a:80\r\n\r\n")]).messages[0]?.target).toBe("/?q");
  });
});

describe("the response parser", () => {
  test.each([
    ["HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nok", "ok"],
    ["HTTP/1.1 200 \r\nContent-Length: 2\r\n\r\nok", "ok"],
    ["HTTP/1.0 200 Fine with me\r\n\r\nto the end", "to the end"],
    ["HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n", ""],
    ["HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", "ok"],
  ])("reads %j", (text, body) => {
    const { messages, fault } = readMessages("response", [bytes(text)]);
    expect(fault).toBeUndefined();
    expect(messages.map((message) => message.body)).toEqual([body]);
  });

  test.each([
    "HTTP/1.1 20 OK\r\n\r\n",
    "HTTP/1.1 099 OK\r\n\r\n",
    "HTTP/1.1  200 OK\r\n\r\n",
    "HTTP/1.1 200 OK\nContent-Length: 0\r\n\r\n",
    "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\na",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "HTTP/2 200 OK\r\nContent-Length: 0\r\n\r\n",
    "ICY 200 OK\r\nContent-Length: 0\r\n\r\n",
  ])("refuses %j", (text) => {
    expect(readMessages("response", [bytes(text)]).fault).toBeDefined();
  });
});
