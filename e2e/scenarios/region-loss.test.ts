import { afterAll, describe, expect, it } from "vitest";
import { figuresOf, missesOf, runDemoOnce, type DrillRun } from "../harness/drill.ts";
import { Place } from "../harness/test-federation.ts";
import { findTestEngine } from "../contract/test-engines.ts";

const etcd = await findTestEngine("etcd");
const natsServer = await findTestEngine("nats-server");
const places: Place[] = [];

afterAll(async () => {
  for (const place of places) {
    await place.end();
    place[Symbol.dispose]();
  }
}, 60_000);

async function drillOnce(engines: boolean): Promise<DrillRun> {
  const place = new Place();
  places.push(place);
  const run = await runDemoOnce(place, engines);
  if (run.report === undefined) throw new Error(`the demo came to no report (exit code ${run.command.code}):\n${run.command.stdout.slice(-4_000)}\n${run.command.stderr.slice(-4_000)}`);
  process.stderr.write(`${engines ? "with etcd and NATS" : "embedded"}: ${figuresOf(run.report)}\n`);
  return run;
}

function judge({ command, report }: DrillRun): void {
  if (report === undefined) throw new Error("no report");
  expect(missesOf(report), `${figuresOf(report)}\n${command.stdout.slice(-4_000)}`).toEqual([]);
  expect(command.code).toBe(0);
  // How many regions there are is the host's to say.
  const regions = report.matrix.filter(({ phase }) => phase === "before").map(({ users }) => users);
  expect([["eu-west", "us-east", "ap-south"], ["eu-west", "us-east"]]).toContainEqual(regions);
  expect(report.matrix.map(({ users, phase }) => `${users} ${phase}`)).toEqual(regions.flatMap((users) => ["before", "during", "after"].map((phase) => `${users} ${phase}`)));
  const during = report.matrix.find(({ users, phase }) => users === "eu-west" && phase === "during");
  expect((during?.servedBy["us-east"] ?? 0) + (during?.servedBy["ap-south"] ?? 0)).toBeGreaterThan(0);
}

describe("a region that dies under load", () => {
  it("costs no repeatable request, on embedded stores and the hub", { timeout: 500_000 }, async () => {
    judge(await drillOnce(false));
  });

  const missing = etcd === undefined || natsServer === undefined;
  it.skipIf(missing)(`costs no repeatable request, on real etcd and NATS${missing ? " (not to be had here)" : ""}`, { timeout: 500_000 }, async () => {
    judge(await drillOnce(true));
  });
});
