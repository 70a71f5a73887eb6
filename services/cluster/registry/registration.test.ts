import { describe, expect, it } from "vitest";
import type { SpiffeId } from "#federation/model/names.ts";
import type { SessionReport } from "#federation/wire/workload-messages.ts";
import { clusterState, endpoint } from "../cluster-state-fixture.ts";
import { judgeReport } from "./registration.ts";

const state = clusterState();
const storefront = "spiffe://shop.example/ns/web/sa/storefront" as SpiffeId;
const report = (over: Partial<SessionReport> = {}): SessionReport => ({
  instanceId: "storefront-1",
  ports: [{ namespace: "web", service: "storefront", port: 80 }],
  address: "10.0.0.1",
  inboundPort: 15_006,
  zone: "",
  weight: 1,
  ready: true,
  draining: false,
  ...over,
});
const judge = (over: Partial<SessionReport> = {}, rest: { readonly identity?: SpiffeId; readonly existing?: ReturnType<typeof endpoint>["record"] } = {}) =>
  judgeReport({ report: report(over), identity: rest.identity ?? storefront, self: state.self, serviceOf: (name) => state.services.get(name), existing: rest.existing, nowMs: 7 });
const reasonOf = (judged: ReturnType<typeof judgeReport>): string => (judged.kind === "refused" ? judged.reason : "accepted");

describe("judgeReport", () => {
  it("accepts an instance that a Service names, and keeps the time at which it first came", () => {
    expect(judge()).toMatchObject({ kind: "accepted", record: { identity: storefront, registeredAtMs: 7 } });
    const { record } = endpoint("storefront-1", "web", "storefront", { registeredAtMs: 3 });
    expect(judge({ ready: false }, { existing: record })).toMatchObject({ record: { registeredAtMs: 3, ready: false } });
  });

  it.each([
    ["a service that is not there", { ports: [{ namespace: "web", service: "none", port: 80 }] }, "there is no Service"],
    ["a port that is not there", { ports: [{ namespace: "web", service: "storefront", port: 81 }] }, "has no port 81"],
    ["a name for an address", { address: "host.example" }, "literal IP"],
    ["an id that is no label", { instanceId: "Not A Label" }, "DNS label"],
    ["a port out of range", { inboundPort: 65_536 }, "inbound port"],
    ["no weight", { weight: 0 }, "weight"],
  ] as const)("refuses %s", (_what, over, reason) => {
    expect(reasonOf(judge(over))).toContain(reason);
  });

  it("refuses an identity that the Service does not name, and another's instance id", () => {
    expect(reasonOf(judge({}, { identity: "spiffe://shop.example/ns/web/sa/edge" as SpiffeId }))).toContain("may not back");
    expect(reasonOf(judge({}, { identity: "spiffe://shop.example/ns/web/sa/edge" as SpiffeId, existing: endpoint("storefront-1", "web", "storefront").record }))).toContain("another identity");
  });

  it("lets an owner leave though its Service is gone, and nobody else", () => {
    const { record } = endpoint("storefront-1", "gone", "service", { identity: storefront });
    const leaving = { draining: true, ports: [{ namespace: "gone", service: "service", port: 80 }] };
    expect(judge(leaving, { existing: record }).kind).toBe("accepted");
    expect(judge(leaving, { existing: record, identity: "spiffe://shop.example/ns/web/sa/edge" as SpiffeId }).kind).toBe("refused");
  });
});
