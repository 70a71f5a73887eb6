import { expect, it } from "vitest";
import type { SpiffeId } from "#federation/model/names.ts";
import { proxyReturnMs } from "#federation/model/proxy-return.ts";
import { silentGatewayProblems } from "./status.ts";

const row = { name: "gw-1", identity: "spiffe://shop.example/atoll/gateway/shop-eu" as SpiffeId, mode: "gateway", connected: false, acknowledgedRevision: 0, lagMs: 0, rejections: 0 } as const;

const silent = { ...row, heardAgeMs: 180_000 };

it("names a gateway that does not come back, and nothing before one would have", () => {
  expect(silentGatewayProblems("shop-eu", { proxies: [silent, { ...row, name: "gw-2", heardAgeMs: proxyReturnMs }, { ...row, name: "gw-3", connected: true }, { ...row, name: "edge", mode: "sidecar", heardAgeMs: 180_000 }] })).toEqual([
    "the plane of shop-eu has not heard gateway gw-1 for 3 min: it has died, or is cut off and routes by what it had; start it again, or stop it in order where it runs",
  ]);
});

it("says nothing of gateways where the plane hears no proxy, since its store is behind", () => {
  const position = { epoch: 1, revision: 1 };
  expect(silentGatewayProblems("shop-eu", { proxies: [silent], store: { state: "behind", reason: "revision", witnessed: position, witness: "this plane", found: position, sinceMs: 1 } })).toEqual([]);
});
