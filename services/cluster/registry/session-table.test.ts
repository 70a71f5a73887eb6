import { describe, expect, it } from "vitest";
import type { EndpointRecord } from "#federation/model/endpoint.ts";
import type { SpiffeId } from "#federation/model/names.ts";
import { releasedByBrake } from "./removal-brake.ts";
import { SessionTable } from "./session-table.ts";

const limits = { ttlMs: 9_000, reattachWindowMs: 60_000 };

describe("SessionTable", () => {
  it("keeps an instance attached while reports arrive and detaches it when they stop", () => {
    const table = new SessionTable(limits);
    table.report("a", 1, 0);
    table.report("a", 1, 8_000);
    expect(table.expire(16_999)).toEqual([]);
    expect(table.isAttached("a")).toBe(true);
    expect(table.expire(17_000)).toEqual(["a"]);
    expect(table.isAttached("a")).toBe(false);
  });

  it("lets a newer stream take an instance over, and ignores what the older one still says", () => {
    const table = new SessionTable(limits);
    table.report("a", 1, 0);
    table.report("a", 2, 10);
    table.end("a", 1, 20);
    expect(table.isAttached("a")).toBe(true);
    table.end("a", 2, 30);
    table.report("a", 1, 40);
    expect(table.isAttached("a")).toBe(true);
  });

  it("misses an instance that nobody has reported for the TTL, and not one that comes back within it", () => {
    const table = new SessionTable(limits);
    table.restore("restored", 0);
    table.report("silent", 1, 0);
    table.report("ended", 2, 0);
    table.end("ended", 2, 5_000);
    expect(table.expire(8_999)).toEqual([]);
    expect(table.expire(9_000)).toEqual(["restored", "silent"]);
    expect(["restored", "silent", "ended"].map((id) => table.isMissed(id))).toEqual([true, true, false]);
    table.report("ended", 3, 13_000);
    table.report("silent", 1, 13_000);
    expect(table.expire(14_000)).toEqual([]);
    expect(["restored", "silent", "ended"].map((id) => table.isMissed(id))).toEqual([true, false, false]);
    expect(table.sweepable(60_000)).toEqual(["restored"]);
  });

  it("offers a detached instance to the sweep only after the re-attach window", () => {
    const table = new SessionTable(limits);
    table.restore("a", 0);
    table.restore("b", 0);
    table.report("b", 1, 100);
    expect(table.sweepable(59_999)).toEqual([]);
    expect(table.sweepable(60_000)).toEqual(["a"]);
  });
});

describe("releasedByBrake", () => {
  const record = (instanceId: string, service = "web"): EndpointRecord => ({
    instanceId,
    identity: "spiffe://shop.example/ns/web/sa/web" as SpiffeId,
    ports: [{ namespace: "web", service, port: 80 }],
    address: "127.0.0.1",
    inboundPort: 1,
    weight: 1,
    ready: true,
    registeredAtMs: 0,
  });
  const ten = Array.from({ length: 10 }, (_, index) => record(`i${index}`));

  it("holds the last endpoint of a service", () => {
    expect(releasedByBrake(["only"], [record("only")])).toEqual([]);
  });

  it("releases at most a fifth of a service", () => {
    expect(releasedByBrake(ten.map((entry) => entry.instanceId), ten)).toEqual(["i0", "i1"]);
  });

  it("counts each service that an instance backs", () => {
    const shared: EndpointRecord = { ...record("i0"), ports: [...record("i0").ports, { namespace: "web", service: "lonely", port: 80 }] };
    expect(releasedByBrake(["i0"], [shared, ...ten.slice(1)])).toEqual([]);
  });
});
