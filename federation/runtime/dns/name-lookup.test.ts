import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { DnsServer } from "./dns-server-fixture.ts";
import { createDnsLookup, hostsTtlMs, withoutUnreachable, type NameLookup } from "./name-lookup.ts";

const name = "gateways.shop.example";
const never = new AbortController().signal;
let dns: DnsServer;
let lookup: NameLookup;

beforeEach(async () => {
  dns = await DnsServer.open();
  lookup = createDnsLookup({ servers: [dns.server] });
});

afterEach(() => dns[Symbol.asyncDispose]());

describe("a look-up", () => {
  it("gives every IPv4 address with the time to live that DNS said", async () => {
    dns.set(name, { addresses: ["127.0.0.2", "127.0.0.3", "127.0.0.4"], ttlSeconds: 7 });
    const { v4, v6 } = await lookup(name, never);
    expect(v4).toMatchObject({ kind: "found", ttlMs: 7_000 });
    expect(v4.kind === "found" && v4.addresses.toSorted()).toEqual(["127.0.0.2", "127.0.0.3", "127.0.0.4"]);
    expect(v6).toEqual({ kind: "none" });
  });

  it("gives the IPv6 addresses of a name that has no others", async () => {
    dns.set(name, { addresses: ["fd00::7", "::1"], ttlSeconds: 7 });
    const { v4, v6 } = await lookup(name, never);
    expect(v4).toEqual({ kind: "none" });
    expect(v6.kind === "found" && v6.addresses.toSorted()).toEqual(["::1", "fd00::7"]);
  });

  it("asks the server each time: what changed there is known with the next question", async () => {
    dns.set(name, { addresses: ["127.0.0.2"], ttlSeconds: 300 });
    await lookup(name, never);
    dns.set(name, { addresses: ["127.0.0.3"], ttlSeconds: 300 });
    expect((await lookup(name, never)).v4).toEqual({ kind: "found", addresses: ["127.0.0.3"], ttlMs: 300_000 });
  });

  it("tells a name that does not exist from a server that fails", async () => {
    expect(await lookup("nothing.invalid", never)).toEqual({ v4: { kind: "none" }, v6: { kind: "none" } });
    dns.set(name, "servfail");
    expect(await lookup(name, never)).toMatchObject({ v4: { kind: "failed", reason: "ESERVFAIL" }, v6: { kind: "failed" } });
  });

  it("gives up with a server that is silent", async () => {
    dns.set(name, "silent");
    expect(await lookup(name, never)).toMatchObject({ v4: { kind: "failed", reason: "ETIMEOUT" }, v6: { kind: "failed" } });
  });

  it("ends at once when it is cancelled", async () => {
    dns.set(name, "silent");
    const cancelled = new AbortController();
    const answer = lookup(name, cancelled.signal);
    cancelled.abort();
    expect(await answer).toMatchObject({ v4: { kind: "failed", reason: "ECANCELLED" } });
  });

  it("knows by the hosts file what DNS does not, for a time of its own", async () => {
    expect((await lookup("localhost", never)).v4).toEqual({ kind: "found", addresses: ["127.0.0.1"], ttlMs: hostsTtlMs });
  });
});

describe("IPv6 addresses", () => {
  const v4 = { kind: "found", addresses: ["10.0.0.1"], ttlMs: 1_000 } as const;
  const v6 = { kind: "found", addresses: ["fd00::1"], ttlMs: 1_000 } as const;

  it("are left out beside IPv4 ones on a host that has none itself, and only then", () => {
    expect(withoutUnreachable({ v4, v6 }, false)).toEqual({ v4, v6: { kind: "none" } });
    expect(withoutUnreachable({ v4, v6 }, true)).toEqual({ v4, v6 });
    expect(withoutUnreachable({ v4: { kind: "none" }, v6 }, false)).toEqual({ v4: { kind: "none" }, v6 });
  });
});
