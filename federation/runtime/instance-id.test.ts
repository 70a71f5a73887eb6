import { mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { keepInstanceId } from "./instance-id.ts";

let directory = "";
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "atoll-instance-"));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

test("a data directory keeps its instance's id, another has another, and a damaged one is named", () => {
  const id = keepInstanceId(join(directory, "one"));
  expect(id).toMatch(/^[0-9a-f]{16}$/);
  expect(keepInstanceId(join(directory, "one"))).toBe(id);
  expect(keepInstanceId(join(directory, "two"))).not.toBe(id);
  const file = join(directory, "one", "instance");
  expect(statSync(file).mode & 0o777).toBe(0o600);
  writeFileSync(file, "");
  expect(() => keepInstanceId(join(directory, "one"))).toThrow(expect.objectContaining({ code: "ATOLL_CONFIG_INVALID" }));
});
