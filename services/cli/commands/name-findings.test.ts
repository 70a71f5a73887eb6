import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { ClusterStatus, FederationStatus } from "#federation/admin-api/status.ts";
import { DnsServer } from "#federation/runtime/dns/dns-server-fixture.ts";
import { createDnsLookup } from "#federation/runtime/dns/name-lookup.ts";
import { renderTable } from "../table.ts";
import { nameColumns, nameProblems, namesDialledHere, namesSeen } from "./name-findings.ts";

const { signal } = new AbortController();

describe("names in status and check", () => {
  let dns: DnsServer;
  beforeEach(async () => {
    dns = await DnsServer.open();
  });
  afterEach(() => dns[Symbol.asyncDispose]());

  it("are looked up here where this command dials them, and those that do not resolve are one finding each", async () => {
    dns.set("global.example", { addresses: ["10.0.0.2", "10.0.0.1"], ttlSeconds: 5 });
    dns.set("empty.example", { addresses: [], ttlSeconds: 5 });
    dns.set("broken.invalid", "servfail");
    const planes = new Map([["global", "global.example:7400"], ["shop-eu", "broken.invalid:7420"], ["shop-us", "10.1.1.1:7420"], ["shop-ap", "nothing.invalid:7420"]]);
    const names = await namesDialledHere(planes, createDnsLookup({ servers: [dns.server] }), signal);
    expect(names).toEqual([
      { name: "global.example", use: "the global plane", addresses: ["10.0.0.1", "10.0.0.2"], seenBy: "this host" },
      { name: "broken.invalid", use: "the plane of shop-eu", addresses: [], problem: "ESERVFAIL", seenBy: "this host" },
      { name: "nothing.invalid", use: "the plane of shop-ap", addresses: [], problem: "no such name, or no address under it", seenBy: "this host" },
    ]);
    expect(nameProblems(names)).toEqual([
      "broken.invalid (the plane of shop-eu) does not resolve for this host: ESERVFAIL; nothing is reached by it",
      "nothing.invalid (the plane of shop-ap) does not resolve for this host: no such name, or no address under it; nothing is reached by it",
    ]);
    const [empty] = await namesDialledHere(new Map([["shop-eu", "empty.example:7420"]]), createDnsLookup({ servers: [dns.server] }), signal);
    expect(nameProblems(empty === undefined ? [] : [empty])).toHaveLength(1);
  });

  it("are told as those see them who dial them, in one finding for all who have the same trouble", () => {
    const gateway = { name: "gw.shop.example", use: "a gateway of shop-eu" };
    const etcd = { name: "etcd.example", use: "etcd of shop-us", addresses: ["10.0.0.9"] };
    const status = (names: ClusterStatus["names"]): ClusterStatus => ({ names }) as ClusterStatus;
    const names = namesSeen({ names: [] } as unknown as FederationStatus, [
      ["shop-us", status([{ ...gateway, addresses: ["10.0.0.1"], problem: "ETIMEOUT" }, etcd])],
      ["pay-us", status([{ ...gateway, addresses: [], problem: "ETIMEOUT" }])],
      ["older", status(undefined)],
    ]);
    expect(nameProblems(names)).toEqual(["gw.shop.example (a gateway of shop-eu) does not resolve for the plane of shop-us, the plane of pay-us: ETIMEOUT; what it stood for last stays in use (10.0.0.1)"]);
    expect(renderTable(nameColumns, names, 200).join("\n")).toMatch(/etcd\.example +etcd of shop-us +the plane of shop-us +10\.0\.0\.9/);
    expect(renderTable(nameColumns, names, 200).join("\n")).toContain("DOES NOT RESOLVE; held: 10.0.0.1");
  });
});
