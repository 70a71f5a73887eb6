import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import type { DrillScore } from "#services/cli/demo/drill-score.ts";
import { Place } from "../harness/test-federation.ts";

/** Somebody's application: it works for a moment, and says where it is. */
const server = `
import { createServer } from "node:http";
const { PORT, ATOLL_REGION, SAYS_WHERE } = process.env;
createServer((_incoming, answer) => setTimeout(() => answer.writeHead(200, SAYS_WHERE === "yes" ? { "x-region": ATOLL_REGION } : {}).end("ok"), 30)).listen(Number(PORT), "127.0.0.1");
`;

const file = (saysWhere: "yes" | "no"): string => `apiVersion: atoll.dev/v1alpha1
kind: Federation
metadata: { name: own }
spec:
  regions:
    - { name: eu-west, coordinates: { latitude: 53.3, longitude: -6.3 } }
    - { name: us-east, coordinates: { latitude: 38.9, longitude: -77.4 } }
  services:
    - { name: shop, namespace: web, directory: app, command: [${JSON.stringify(process.execPath)}, server.mjs], env: { SAYS_WHERE: "${saysWhere}" } }
  users:
    - { region: eu-west, service: web/shop, ratePerSecond: 20 }
    - { region: us-east, service: web/shop, ratePerSecond: 10 }
`;

const place = new Place();
const path = join(place.directory, "own.yaml");

afterAll(async () => {
  await place.end();
  if (process.env["ATOLL_KEEP_SCENARIOS"] === undefined) place[Symbol.dispose]();
}, 60_000);

// Each step rests on the one before it: the order of the tests is part of the scenario.
describe("a drill on a user's own application", () => {
  it("is refused with what to do while the application does not say where it is", async () => {
    mkdirSync(join(place.directory, "app"));
    writeFileSync(join(place.directory, "app", "server.mjs"), server);
    writeFileSync(path, file("no"));
    const up = await place.atoll("up", path);
    expect(up, up.stderr).toMatchObject({ code: 0 });
    const drill = await place.atoll("drill", "run", "region-loss", "--region", "eu-west");
    expect(drill.code).toBe(1);
    expect(drill.stderr).toMatch(/ATOLL_DRILL_REFUSED.*x-region with what ATOLL_REGION holds/);
  });

  it("kills the region with its applications, has its users served by the other one, and brings it back", async () => {
    writeFileSync(path, file("yes"));
    const up = await place.atoll("up", path);
    expect(up, up.stderr).toMatchObject({ code: 0 });
    const report = join(place.directory, "report.json");
    const drill = await place.atoll("-o", "json", "drill", "run", "region-loss", "--region", "eu-west", "--outage", "4", "--report", report);
    expect(drill, drill.stderr).toMatchObject({ code: 0 });
    const { drill: score } = JSON.parse(readFileSync(report, "utf8")) as { readonly drill: DrillScore };
    expect(score).toMatchObject({ failedIdempotentOutsideShift: 0 });
    expect(score.shiftMs).not.toBeNull();
    expect(score.recoverMs).not.toBeNull();
    expect(await place.atoll("down")).toMatchObject({ code: 0 });
  });
});
