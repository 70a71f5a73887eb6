import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { open, type FileHandle } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { AuditLines } from "./audit-lines.ts";

let directory: string;
let path: string;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "atoll-lines-"));
  path = join(directory, "audit.jsonl");
});
afterEach(() => {
  vi.restoreAllMocks();
  rmSync(directory, { recursive: true });
});

const openLines = (over: { readonly fileBytes?: number; readonly isTorn?: boolean } = {}): Promise<AuditLines> => AuditLines.open({ paths: [path, `${path}.1`], fileBytes: 1_000_000, sequence: 0, isTorn: false, ...over });
const written = (file = path): readonly { readonly sequence: number; readonly id: string }[] => readFileSync(file, "utf8").trim().split("\n").map((line) => JSON.parse(line) as never);

/** What every open file can do, for spies. */
async function fileMethods(): Promise<FileHandle> {
  await using file = await open(join(directory, "any"), "a");
  return Object.getPrototypeOf(file) as FileHandle;
}

describe("AuditLines", () => {
  it("takes what comes together to the disk together, numbered as it came", async () => {
    await using lines = await openLines();
    const sync = vi.spyOn(await fileMethods(), "sync");
    const numbers = await Promise.all(Array.from({ length: 200 }, (_, at) => lines.write({ id: `r${at}` }, true)));
    expect(numbers).toEqual(Array.from({ length: 200 }, (_, at) => at + 1));
    expect(written().map(({ sequence, id }) => `${sequence} ${id}`)).toEqual(numbers.map((number) => `${number} r${number - 1}`));
    // The first alone, and the rest while it was on its way.
    expect(sync.mock.calls.length).toBe(2);
  });

  it("lets a line that is not to be durable go on before the sync", async () => {
    await using lines = await openLines();
    const syncing = Promise.withResolvers<void>();
    vi.spyOn(await fileMethods(), "sync").mockReturnValue(syncing.promise);
    const order: string[] = [];
    const durable = [lines.write({ id: "a" }, true), lines.write({ id: "b" }, true)].map((each) => each.then(() => order.push("durable")));
    const quick = lines.write({ id: "c" }, false).then(() => order.push("quick"));
    syncing.resolve();
    await Promise.all([...durable, quick]);
    expect(order).toEqual(["durable", "quick", "durable"]);
  });

  it("leaves nothing of what a full disk took half of, and no gap", async () => {
    await using lines = await openLines();
    await lines.write({ id: "a" }, true);
    const methods = await fileMethods();
    vi.spyOn(methods, "appendFile").mockImplementationOnce(async function (this: FileHandle, text) {
      await this.write((text as Buffer).subarray(0, 20));
      throw Object.assign(new Error("no space left on device"), { code: "ENOSPC" });
    });
    const refused = await Promise.allSettled([lines.write({ id: "b" }, true), lines.write({ id: "c" }, false)]);
    expect(refused.map(({ status }) => status)).toEqual(["rejected", "fulfilled"]);
    await lines.write({ id: "d" }, true);
    expect(written().map(({ sequence, id }) => `${sequence} ${id}`)).toEqual(["1 a", "2 c", "3 d"]);
  });

  it("refuses whose line is not known to be on the disk, and gives its number to nobody else", async () => {
    await using lines = await openLines();
    vi.spyOn(await fileMethods(), "sync").mockRejectedValueOnce(new Error("EIO"));
    await expect(lines.write({ id: "a" }, true)).rejects.toThrow("EIO");
    expect(await lines.write({ id: "b" }, true)).toBe(2);
  });

  it("ends a line that a crash has torn, and goes on in a new file when one is full", async () => {
    writeFileSync(path, '{"sequence":7,"i');
    await using lines = await openLines({ isTorn: true, fileBytes: 40 });
    await lines.write({ id: "a" }, true);
    expect(readFileSync(path, "utf8")).toBe('{"sequence":7,"i\n{"sequence":1,"id":"a"}\n');
    await lines.write({ id: "b" }, true);
    expect(written()).toEqual([{ sequence: 2, id: "b" }]);
    expect(readFileSync(`${path}.1`, "utf8")).toContain('"a"');
  });

  it("has a bound of what waits", async () => {
    await using lines = await openLines();
    const settled = await Promise.allSettled(Array.from({ length: 4_200 }, () => lines.write({ id: "" }, false)));
    const refused = settled.filter(({ status }) => status === "rejected");
    expect(refused.length).toBeGreaterThan(0);
    expect(refused.length).toBeLessThan(200);
    expect(written()).toHaveLength(4_200 - refused.length);
  });
});
