import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { ServiceHost } from "#federation/model/names.ts";
import { buildRouteTable, canonicalizeHost, matchRoute } from "./match-route.ts";
import { serviceAt } from "./places-fixture.ts";

describe("canonicalizeHost", () => {
  test.each([
    ["Catalog.Web", "catalog.web"],
    ["catalog.web:8080", "catalog.web"],
    ["catalog.web.:80", "catalog.web"],
    ["catalog.web.", "catalog.web"],
    ["catalog.web..", "catalog.web."],
    ["catalog.web:", "catalog.web"],
    ["10.0.0.1:80", "10.0.0.1"],
    ["", ""],
    [":80", ""],
    ["[::1]:80", ""],
    ["a:b", ""],
    ["a:123456", ""],
    ["user@catalog.web", "user@catalog.web"],
    [`${"a".repeat(300)}.web`, ""],
  ])("%j is %j", (raw, canonical) => expect(canonicalizeHost(raw)).toBe(canonical));

  test("has nothing left to do the second time, but for a further dot", () => {
    fc.assert(
      fc.property(fc.string(), (raw) => {
        const once = canonicalizeHost(raw);
        fc.pre(!once.endsWith("."));
        expect(canonicalizeHost(once)).toBe(once);
      }),
    );
  });
});

describe("matchRoute", () => {
  const catalog = serviceAt([]);
  const impostor = { ...catalog, host: "zz.web.svc.shop.example" as ServiceHost, aliases: ["catalog.web", catalog.host, "zz.web"] };
  const table = buildRouteTable(new Map([impostor, catalog].map((service) => [service.host, service])));

  test("knows a service by host and by every alias, in any case", () => {
    for (const host of [catalog.host, "catalog.web", "CATALOG.web.svc.clusterset.local", "Catalog.Web.:8080"]) {
      expect(matchRoute(table, host)).toMatchObject({ service: { host: catalog.host }, port: { port: 8080 } });
    }
  });

  test("takes the port that is named, and knows none that the service does not have", () => {
    expect(matchRoute(table, "catalog.web:9000")?.port.name).toBe("admin");
    expect(matchRoute(table, "Catalog.web:09000")?.port.name).toBe("admin");
    expect(matchRoute(table, "catalog.web:")?.port.name).toBe("http");
    for (const port of [0, 80, 9001, 65_535, 99_999]) expect(matchRoute(table, `catalog.web:${port}`)).toBeUndefined();
  });

  test("takes the port of the proxy itself for the default one, unless the service has one of that number", () => {
    expect(matchRoute(table, "catalog.web:15001", 15_001)?.port.name).toBe("http");
    expect(matchRoute(table, "catalog.web:15002", 15_001)).toBeUndefined();
    expect(matchRoute(table, "catalog.web:9000", 9_000)?.port.name).toBe("admin");
  });

  test("knows a service by the names that Kubernetes gives it, where no other service has one of them", () => {
    for (const host of ["catalog.web.svc", "Catalog.web.svc.:8080", "catalog.web.svc.cluster.local", "catalog.web.svc.cluster.local:9000"]) {
      expect(matchRoute(table, host)?.service.host).toBe(catalog.host);
    }
    expect(matchRoute(table, "catalog.web.svc.cluster.local:9000")?.port.name).toBe("admin");
    expect(matchRoute(table, "catalog.web.svc:9001")).toBeUndefined();
    const local = { ...catalog, host: "catalog.web.svc.cluster.local" as ServiceHost, aliases: [] };
    const both = buildRouteTable(new Map([local, catalog].map((service) => [service.host, service])));
    expect(matchRoute(both, "catalog.web.svc.cluster.local")?.service.host).toBe(local.host);
    expect(matchRoute(both, "catalog.web.svc")?.service.host).toBe(catalog.host);
  });

  test("a host wins over another service's alias, and of two aliases the first host", () => {
    expect(matchRoute(table, catalog.host)?.service.host).toBe(catalog.host);
    expect(matchRoute(table, "catalog.web")?.service.host).toBe(catalog.host);
    expect(matchRoute(table, "zz.web")?.service.host).toBe(impostor.host);
  });

  test("knows nothing else", () => {
    for (const host of ["", "catalog", "web", "catalog.web.svc.pay.example", "catalog.web..", "catalog.web:80:80", "__proto__"]) {
      expect(matchRoute(table, host)).toBeUndefined();
    }
  });
});
