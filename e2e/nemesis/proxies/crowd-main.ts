import { tokenVoucher } from "#federation/identity/join-voucher.ts";
import { systemClock } from "#federation/runtime/clock.ts";
import { describeError } from "#federation/runtime/errors.ts";
import { untilAborted } from "#federation/runtime/lifecycle.ts";
import { joinPlane } from "#proxy/control/join-plane.ts";
import { pause } from "../../harness/eventually.ts";
import { FaultyLink } from "../faulty-link.ts";
import type { CrowdOrder, CrowdReport } from "./crowd-messages.ts";
import { SimulatedProxy } from "./simulated-proxy.ts";

const reportEveryMs = 200;
const joiningMax = 50;
const joinPollMs = 20;
const leaving = new AbortController();
let link: FaultyLink | undefined;

/** Whoever has started us is gone: there is nobody to leave for. */
process.once("disconnect", () => process.exit(1));
// A terminal, and whatever bounds a run's time, tells every process of the run to end. Whoever has started us ends faults first, and needs us for it.
for (const name of ["SIGINT", "SIGTERM"] as const) process.on(name, () => undefined);
process.once("uncaughtException", fail);
process.on("message", (order: CrowdOrder) => {
  if (order.kind === "begin") void run(order).then(() => process.exit(0), fail);
  else if (order.kind === "leave") leaving.abort();
  else link?.become(order.kind);
});

/** All of one workload: proxies of its instances, each with a connection of its own through one link. */
async function run({ name, joinToken, count }: Extract<CrowdOrder, { kind: "begin" }>): Promise<void> {
  const joined = await joinPlane(tokenVoucher(joinToken), { clock: systemClock }, leaving.signal);
  const { hostname, port } = new URL(`tls://${joined.plane.addresses[0]}`);
  await using opened = await FaultyLink.open({ host: hostname, port: Number(port) }, 0);
  link = opened;
  const plane = { ...joined.plane, addresses: [`127.0.0.1:${opened.port}`] };
  const proxies: SimulatedProxy[] = [];
  const reporting = setInterval(() => report({ kind: "stands", connected: proxies.filter(({ isConnected }) => isConnected).length }), reportEveryMs);
  try {
    // Some at a time: what all of them dial by one loop takes longer, on a busy host, than a plane waits for a handshake.
    for (let at = 0; at < count && !leaving.signal.aborted; at++) {
      proxies.push(new SimulatedProxy({ ...joined, plane }, `${name}${at}`));
      while (!leaving.signal.aborted && proxies.filter(({ isConnected }) => !isConnected).length >= joiningMax) await pause(joinPollMs);
    }
    await untilAborted(leaving.signal);
    await Promise.all(proxies.map((proxy) => proxy.leave()));
  } finally {
    clearInterval(reporting);
  }
}

function fail(error: unknown): void {
  process.send?.({ kind: "fails", reason: describeError(error) } satisfies CrowdReport, () => process.exit(1));
}

function report(said: CrowdReport): void {
  process.send?.(said);
}
