import { once } from "node:events";
import { parseArgs } from "node:util";
import type { ClusterId, RegionId } from "#federation/model/names.ts";
import { systemClock } from "#federation/runtime/clock.ts";
import { createProcessorShare } from "#federation/runtime/processor-share.ts";
import { systemRandom } from "#federation/runtime/random.ts";
import { LoopDelay } from "#proxy/admission/loop-delay.ts";
import { LoopShed } from "#proxy/admission/loop-shed.ts";
import { LoopShedStage } from "#proxy/admission/loop-shed-stage.ts";
import { OutboundRoutes } from "#proxy/http/outbound-routes.ts";
import { OutboundServer } from "#proxy/http/outbound-server.ts";
import { catalogAt, localAt, snapshotOf } from "#proxy/http/proxy-fixture.ts";
import { TelemetryStage } from "#proxy/http/telemetry-stage.ts";
import { TimingWheel } from "#proxy/http/timing-wheel.ts";
import { PoolSet } from "#proxy/upstream/pool-set.ts";
import { plainConnector } from "#proxy/upstream/connector.ts";
import { PlaceHealth } from "#proxy/upstream/place-health.ts";

// bare-proxy-main.ts --port PORT --backend PORT: the outbound side of a sidecar as sidecar.ts builds it, with the plain
// connector in the place of the TLS one. The mesh has no such hop; the bench measures it to tell TLS from the rest.
const { values } = parseArgs({ options: { port: { type: "string" }, backend: { type: "string" } } });
const clock = systemClock;
const random = systemRandom;
const wheel = new TimingWheel(clock);
const pools = new PoolSet({ connector: plainConnector, clock, random, wheel });
const board = new PlaceHealth(clock, { region: "eu" as RegionId, cluster: "here" as ClusterId, roundTripMs: new Map() });
const routes = new OutboundRoutes({ pools, board, clock, random });
routes.apply(snapshotOf(catalogAt([localAt(Number(values.backend))])));
const loop = new LoopDelay(wheel, createProcessorShare());
const shed = new LoopShed();
loop.listen(shed);
const server = await OutboundServer.open({
  address: "127.0.0.1",
  port: Number(values.port),
  clock,
  random,
  wheel,
  telemetry: new TelemetryStage(clock),
  guard: new LoopShedStage(loop, shed, random),
  findRoute: (host) => routes.find(host),
});

await once(process, "SIGTERM");
await server.drain(AbortSignal.abort());
process.exitCode = 0;
for (const pool of pools.pools()) pool.purge();
