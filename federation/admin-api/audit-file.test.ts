import { appendFileSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, existsSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { VirtualClock } from "#federation/runtime/virtual-clock.ts";
import { WriteFailures } from "#federation/runtime/write-failures.ts";
import { silentLogger } from "#federation/telemetry/logger.ts";
import type { AuditRequest } from "./audit.ts";
import { openAuditFile, openPlaneAudit, type AuditFile } from "./audit-file.ts";
import { changedFields } from "./changed-fields.ts";

let directory: string;
let path: string;
const failures: unknown[] = [];

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "atoll-audit-"));
  path = join(directory, "audit", "audit.jsonl");
  failures.length = 0;
});
afterEach(() => rmSync(directory, { recursive: true }));

const open = async (limits: { readonly fileBytes?: number; readonly files?: number } = {}): Promise<AuditFile> => await openAuditFile({ path, onFailure: (error) => failures.push(error), ...limits });

function request(requestId: string): AuditRequest {
  return {
    time: "2026-01-01T00:00:00.000Z",
    requestId,
    operationId: "applyRegion",
    access: "administer",
    caller: { by: "certificate", name: "spiffe://demo.atoll/atoll/admin/local", roles: "administrator" },
    address: "127.0.0.1",
    path: "/api/v1/regions/eu-west",
    dryRun: false,
  };
}

describe("openAuditFile", () => {
  it("has who and what on the disk before a mutation may begin, for the owner's eyes only", async () => {
    await using trail = await open();
    const ticket = await trail.begin(request("r1"));
    expect(readFileSync(path, "utf8")).toContain('"requestId":"r1"');
    expect(statSync(path).mode & 0o777).toBe(0o600);
    expect((await trail.read({ limit: 10 })).entries).toMatchObject([{ sequence: 1, requestId: "r1", outcome: "interrupted" }]);
    await ticket.end({ outcome: "changed", status: 200, kind: "Region", id: "eu-west", revisionBefore: 3, revisionAfter: 9, fields: ["spec.displayName"] });
    expect((await trail.read({ limit: 10 })).entries).toMatchObject([{ sequence: 1, outcome: "changed", revisionBefore: 3, revisionAfter: 9, fields: ["spec.displayName"] }]);
  });

  it("shows pages newest first, also those that end in another order than they began", async () => {
    await using trail = await open();
    const tickets = await Promise.all(["a", "b", "c"].map(async (id) => await trail.begin(request(id))));
    for (const ticket of tickets.toReversed()) await ticket.end({ outcome: "done", status: 200 });
    const first = await trail.read({ limit: 2 });
    expect(first).toMatchObject({ hasMore: true, entries: [{ requestId: "c", outcome: "done" }, { requestId: "b", outcome: "done" }] });
    const rest = await trail.read({ limit: 2, before: first.entries.at(-1)?.sequence ?? 0 });
    expect(rest).toMatchObject({ hasMore: false, entries: [{ requestId: "a" }] });
  });

  it("counts on after a restart, and leaves a line that a crash has torn as it is", async () => {
    {
      await using trail = await open();
      await (await trail.begin(request("a"))).end({ outcome: "done", status: 200 });
    }
    appendFileSync(path, '{"sequence":3,"stage":"begin","req');
    await using trail = await open();
    await trail.begin(request("b"));
    expect((await trail.read({ limit: 10 })).entries).toMatchObject([{ sequence: 3, requestId: "b" }, { sequence: 1, requestId: "a" }]);
  });

  it("keeps a bounded number of files, and finds across them what belongs together", async () => {
    await using trail = await open({ fileBytes: 1_000, files: 3 });
    const open1 = await trail.begin(request("early"));
    for (let at = 0; at < 3; at++) await (await trail.begin(request(`r${at}`))).end({ outcome: "done", status: 200 });
    await open1.end({ outcome: "failed", status: 500, code: "ATOLL_INTERNAL" });
    expect((await trail.read({ limit: 10 })).entries.find((entry) => entry.requestId === "early")).toMatchObject({ outcome: "failed" });
    for (let at = 3; at < 40; at++) await (await trail.begin(request(`r${at}`))).end({ outcome: "done", status: 200 });
    expect([`${path}.1`, `${path}.2`, `${path}.3`].map((name) => existsSync(name))).toEqual([true, true, false]);
    const { entries } = await trail.read({ limit: 100 });
    expect(entries[0]).toMatchObject({ requestId: "r39" });
    expect(entries.every((entry, index) => entry.requestId === `r${39 - index}` && entry.outcome === "done")).toBe(true);
    expect(entries.length).toBeLessThan(40);
  });

  it("lets nothing begin that it cannot write down", async () => {
    const trail = await open();
    await trail[Symbol.asyncDispose]();
    await expect(trail.begin(request("a"))).rejects.toMatchObject({ code: "ATOLL_AUDIT_UNAVAILABLE" });
    expect(failures).toHaveLength(1);
  });
});

describe("changedFields", () => {
  it("names what differs by its path and never by its value", () => {
    const before = { spec: { locality: { mode: "nearest" }, gateways: [{ port: 1 }, { port: 2 }], gone: "secret" } };
    const after = { spec: { locality: { mode: "ordered", order: ["a"] }, gateways: [{ port: 1 }, { port: 3 }, { port: 4 }] } };
    expect(changedFields(before, after)).toEqual(["spec.gateways[1].port", "spec.gateways[2]", "spec.gone", "spec.locality.mode", "spec.locality.order"]);
    expect(changedFields(before, before)).toEqual([]);
  });

  it("names a bounded number of them", () => {
    const wide = Object.fromEntries(Array.from({ length: 500 }, (_, at) => [`f${at}`, at]));
    const paths = changedFields({}, wide);
    expect(paths).toHaveLength(64);
    expect(paths.at(-1)).toBe("and 437 more");
  });
});

it("goes on in a file of its name when somebody has removed that and its folder", async () => {
  await using trail = await open();
  await (await trail.begin(request("r1"))).end({ outcome: "done", status: 200 });
  rmSync(join(directory, "audit"), { recursive: true });
  await (await trail.begin(request("r2"))).end({ outcome: "done", status: 200 });
  expect((await trail.read({ limit: 5 })).entries).toMatchObject([{ requestId: "r2", sequence: 3, outcome: "done" }]);
  expect(failures).toEqual([]);
});

describe("openPlaneAudit", () => {
  it("keeps no plane from answering while its trail cannot be opened, refuses mutations, says so, and takes them once it can", async () => {
    const clock = new VirtualClock();
    const writeFailures = new WriteFailures(clock);
    // A file where the folder would be.
    writeFileSync(join(directory, "audit"), "");
    await using trail = await openPlaneAudit({ dataDir: directory, failures: { inc: () => failures.push("counted") }, writeFailures, clock, logger: silentLogger });
    expect(writeFailures.current).toMatchObject([{ what: "its audit trail", reason: expect.stringContaining("EEXIST"), sinceMs: clock.nowMs() }]);
    await expect(trail.begin(request("r1"))).rejects.toMatchObject({ code: "ATOLL_AUDIT_UNAVAILABLE" });
    await expect(trail.read({ limit: 1 })).rejects.toMatchObject({ code: "ATOLL_AUDIT_UNAVAILABLE" });
    expect(failures.length).toBeGreaterThan(0);
    rmSync(join(directory, "audit"));
    await vi.waitUntil(async () => {
      await clock.advance(5_000);
      return writeFailures.current.length === 0;
    });
    await (await trail.begin(request("r2"))).end({ outcome: "done", status: 200 });
    expect((await trail.read({ limit: 5 })).entries.map(({ requestId }) => requestId)).toEqual(["r2"]);
    expect(readdirSync(join(directory, "audit"))).toEqual(["audit.jsonl"]);
  });
});
