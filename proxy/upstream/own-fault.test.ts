import { describe, expect, it } from "vitest";
import { VirtualClock } from "#federation/runtime/virtual-clock.ts";
import type { Logger } from "#federation/telemetry/logger.ts";
import { silentLogger } from "#federation/telemetry/logger.ts";
import { catalogAt, closedPort, httpOrigin, localAt, RawClient, remoteAt, requestFor, TestProxy } from "../http/proxy-fixture.ts";
import { plainConnector } from "./connector.ts";
import { countOwnFaults, createOwnFaultCounts, createOwnFaultLog, ownFaultOf, UnstartableError } from "./own-fault.ts";
import { failingConnector } from "./own-fault-fixture.ts";

describe("what a process lacks itself", () => {
  it.each([
    ["EMFILE", "descriptors"],
    ["ENFILE", "descriptors"],
    ["ENOBUFS", "memory"],
    ["ENOMEM", "memory"],
    ["ECONNREFUSED", undefined],
    ["EHOSTUNREACH", undefined],
    ["EADDRNOTAVAIL", undefined],
  ])("is told from what the far side does: %s is %s", (code, fault) => {
    expect(ownFaultOf(Object.assign(new Error(code), { code }))).toBe(fault);
  });

  it("includes an identity", () => {
    expect(ownFaultOf(new UnstartableError())).toBe("identity");
  });

  it("is answered with a reason of its own, is counted, and is over with the lack", async () => {
    await using origin = await httpOrigin((_, response) => void response.end("here"));
    let lacks = true;
    const counts = createOwnFaultCounts();
    const connector = countOwnFaults(failingConnector(plainConnector, "EMFILE", () => lacks), counts, () => undefined);
    await using proxy = await TestProxy.open([remoteAt("near", origin.port), remoteAt("far", await closedPort())], { connector });
    using client = await RawClient.connect(proxy.server.port);
    client.write(requestFor("GET", "/"));
    const answer = await client.response();
    expect([answer.status, answer.body]).toEqual([503, expect.stringContaining("connect_impossible")]);
    expect(counts).toMatchObject({ memory: 0, identity: 0 });
    expect(counts.descriptors).toBeGreaterThanOrEqual(2);
    lacks = false;
    client.write(requestFor("GET", "/"));
    expect(await client.response()).toMatchObject({ status: 200, body: "here" });
  });

  it.each([
    ["EMFILE", false],
    ["ECONNREFUSED", true],
  ])("sends requests where a connection is to be had: %s lowers the other place: %s", async (code, lowers) => {
    await using there = await httpOrigin((_, response) => void response.end("there"));
    const places = [localAt(await closedPort()), remoteAt("far", there.port)] as const;
    const connector = failingConnector(plainConnector, code, ({ port }) => port !== there.port);
    await using proxy = await TestProxy.open(places, { connector });
    using client = await RawClient.connect(proxy.server.port);
    for (let count = 0; count < 8; count++) {
      client.write(requestFor("POST", "/"));
      expect(await client.response()).toMatchObject({ status: 200, body: "there" });
    }
    expect(proxy.health.conditionOf(catalogAt(places), places[0]).lowered).toBe(lowers);
  });

  it("is told to an operator once a minute, but for the identity", async () => {
    const clock = new VirtualClock();
    const lacked: unknown[] = [];
    const logger: Logger = { ...silentLogger, warn: (_, fields) => void lacked.push(fields?.["lacked"]) };
    const log = createOwnFaultLog(clock, logger);
    log("identity");
    log("descriptors");
    log("descriptors");
    expect(lacked).toEqual(["descriptors"]);
    await clock.advance(60_000);
    log("memory");
    expect(lacked).toEqual(["descriptors", "memory"]);
  });
});
