import { expect, test } from "vitest";
import { answeredLoop, parseWrkOutput, type ClosedLoopResult } from "./closed-loop.ts";

const report = `Running 2s test @ http://127.0.0.1:8080/
  1 threads and 32 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency   437.10us  102.2us   4.12ms   95.11%
    Req/Sec    73.02k     2.11k   75.54k    90.00%
  Latency Distribution
     50%  401.00us
     99%    1.25ms
  145338 requests in 2.00s, 166.71MB read
`;

test("reads requests, time and the 99th percentile", () => {
  expect(parseWrkOutput(report)).toEqual({ requests: 145_338, seconds: 2, errors: 0, p99Micros: 1250 });
});

test("counts every kind of error", () => {
  expect(parseWrkOutput(`${report}  Socket errors: connect 1, read 2, write 3, timeout 4\n  Non-2xx or 3xx responses: 90\n`).errors).toBe(100);
});

test("refuses what is no report", () => {
  expect(() => parseWrkOutput("unable to connect to 127.0.0.1:1")).toThrow("wrk reported nothing: unable to connect");
});

test("runs a loop in which nobody was answered again, longer each time, and not for ever", async () => {
  const asked: number[] = [];
  const answering = (requests: readonly number[]) => async (seconds: number): Promise<{ readonly loop: ClosedLoopResult }> => {
    asked.push(seconds);
    return await Promise.resolve({ loop: { requests: requests[asked.length - 1] ?? 0, seconds, errors: 0, p99Micros: 0 } });
  };
  expect((await answeredLoop(0.5, answering([0, 0, 7]))).loop.requests).toBe(7);
  expect(asked).toEqual([0.5, 1, 2]);
  asked.splice(0);
  await expect(answeredLoop(1, answering([]))).rejects.toThrow("nobody was answered in 16 s");
  expect(asked).toEqual([1, 2, 4, 8, 16]);
});
