import { expect, test } from "vitest";
import { renderProfile, summarizeProfile } from "./cpu-profile.ts";

const frame = (id: number, functionName: string, url = "", lineNumber = 0) => ({ id, callFrame: { functionName, url, lineNumber } });

test("shares are of busy time, by area and by function", () => {
  const summary = summarizeProfile(
    {
      nodes: [frame(1, "(root)"), frame(2, "(idle)"), frame(3, "parse", "file:///app/proxy/http/parser.ts", 41), frame(4, "onread", "node:internal/stream_base_commons"), frame(5, "(program)"), frame(6, "", "file:///app/proxy/http/parser.ts", 9)],
      samples: [2, 3, 3, 4, 5, 6],
      timeDeltas: [9000, 100, 100, 100, 100, 100],
    },
    "/app",
  );
  expect(summary.areas).toEqual([
    { name: "proxy/http", share: 0.6 },
    { name: "node:internal/stream_base_commons", share: 0.2 },
    { name: "(program)", share: 0.2 },
  ]);
  expect(summary.functions[0]).toEqual({ name: "parse  proxy/http/parser.ts:42", share: 0.4 });
  expect(renderProfile(summary)).toContain(" 20.0 %  (anonymous)  proxy/http/parser.ts:10");
});
