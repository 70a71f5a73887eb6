import { describe, expect, it } from "vitest";
import { clusterStatusSchema, explanationSchema } from "#federation/admin-api/status.ts";
import { olderStatus } from "./cluster-status-fixture.ts";
import { withOverload } from "./explain.ts";
import { clusterProblems } from "./status.ts";

const overloads = [
  { instance: "catalog-1", namespace: "web", service: "catalog", admits: 20, asked: 60 },
  { instance: "catalog-2", namespace: "web", service: "catalog", admits: 5, asked: 10 },
];
describe("an overload", () => {
  it("is a problem in status and check, by service with its instances, where the plane says so", () => {
    expect(clusterProblems("shop-eu", clusterStatusSchema.parse({ ...olderStatus, overloads }))).toEqual(["web/catalog in shop-eu is overloaded: admits 25 of 70 requests a second (catalog-1, catalog-2)"]);
    expect(clusterProblems("shop-eu", clusterStatusSchema.parse(olderStatus))).toEqual([]);
  });

  it("of another cluster stands in explain in front of why its place is where it is", () => {
    const place = { cluster: "shop-us", region: "us-east", endpointsReady: 2, endpointsTotal: 2, ageMs: 0, kind: "remote", order: 1, verdict: "healthy", loadShare: 0, reason: "nearer places carry all traffic" };
    const [parsed] = explanationSchema.shape.places.parse([place]);
    if (parsed === undefined) throw new Error("the fixture has a place");
    expect(withOverload(parsed, "catalog.web.svc.shop.example", overloads)).toEqual({ ...parsed, overload: { admits: 25, asked: 70 }, reason: "overloaded: admits 25 of 70 requests a second; nearer places carry all traffic" });
    expect(withOverload(parsed, "catalog.webshop.svc.shop.example", overloads)).toBe(parsed);
  });
});
