import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { writePrivateFilesSync } from "./private-file.ts";

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "atoll-private-"));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

it("writes files that belong together for their owner alone, and all of them or none", () => {
  const key = join(directory, "a.key");
  const certificate = join(directory, "a.pem");
  writePrivateFilesSync([[key, "key 1"], [certificate, "certificate 1"]]);
  expect([readFileSync(key, "utf8"), readFileSync(certificate, "utf8"), statSync(key).mode & 0o777]).toEqual(["key 1", "certificate 1", 0o600]);
  // The second one cannot be written.
  mkdirSync(join(directory, "full"));
  mkdirSync(join(directory, "full", `b.pem.${process.pid}.tmp`));
  expect(() => writePrivateFilesSync([[key, "key 2"], [join(directory, "full", "b.pem"), "certificate 2"]])).toThrow();
  expect([readFileSync(key, "utf8"), readdirSync(directory).toSorted()]).toEqual(["key 1", ["a.key", "a.pem", "full"]]);
});
