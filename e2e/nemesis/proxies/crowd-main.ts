import { tokenVoucher } from "#federation/identity/join-voucher.ts";
import { systemClock } from "#federation/runtime/clock.ts";
import { joinPlane } from "#proxy/control/join-plane.ts";
import { keepAlive } from "../../harness/run-measure.ts";
import { pause } from "../../harness/eventually.ts";
import { BusLink } from "../bus-link.ts";
import type { CrowdOrder, CrowdReport } from "./crowd-messages.ts";
import { SimulatedProxy } from "./simulated-proxy.ts";

const reportEveryMs = 200;
const leaving = new AbortController();
let link: BusLink | undefined;

/** Whoever has started us is gone: there is nobody to leave for. */
process.once("disconnect", () => process.exit(1));
process.on("message", (order: CrowdOrder) => {
  if (order.kind === "begin") void keepAlive(() => run(order.joinToken, order.count)).finally(() => process.disconnect());
  else if (order.kind === "leave") leaving.abort();
  else link?.become(order.kind);
});

/** All of one workload: proxies of its instances, each with a connection of its own through one link. */
async function run(joinToken: string, count: number): Promise<void> {
  const joined = await joinPlane(tokenVoucher(joinToken), { clock: systemClock }, leaving.signal);
  const { hostname, port } = new URL(`tls://${joined.plane.addresses[0]}`);
  await using opened = await BusLink.open({ host: hostname, port: Number(port) }, 0);
  link = opened;
  const plane = { ...joined.plane, addresses: [`127.0.0.1:${opened.port}`] };
  const proxies = Array.from({ length: count }, (_, at) => new SimulatedProxy({ ...joined, plane }, `nemesis-${process.pid}-${at}`, leaving.signal));
  while (!leaving.signal.aborted) {
    report({ connected: proxies.filter(({ isConnected }) => isConnected).length });
    await pause(reportEveryMs, leaving.signal).catch(() => undefined);
  }
  await Promise.all(proxies.map((proxy) => proxy.ended()));
}

function report(said: CrowdReport): void {
  process.send?.(said);
}
