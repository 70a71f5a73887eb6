import { expect, it } from "vitest";
import type { Write } from "../history.ts";
import { unaudited } from "./audited.ts";

const write = (register: string, outcome: Write["outcome"]): Write => ({ register, value: 1, invokedMs: 0, returnedMs: 1, outcome });
const begin = (name: string): string => JSON.stringify({ stage: "begin", path: `/api/v1/trafficpolicies/web/${name}`, dryRun: false });

it("a write that was acknowledged and that the audit trail does not know is lost", () => {
  expect(unaudited([begin("a-1"), begin("a-10")], [write("global/a-1", "ok"), write("global/a-1", "ok"), write("global/a-10", "ok")])).toMatchObject([{ kind: "lost", register: "global/a-1" }]);
});

it("what was refused, or of what nobody knows, need not be in the audit trail, and an end is no beginning", () => {
  expect(unaudited([], [write("global/a-1", "failed"), write("global/a-1", "unknown")])).toEqual([]);
  expect(unaudited([JSON.stringify({ stage: "end", id: "web/a-1" })], [write("global/a-1", "ok")])).toHaveLength(1);
});
