import { systemClock } from "#federation/runtime/clock.ts";
import { runLoad } from "./load.ts";
import type { LoadPlan } from "./load-plan.ts";

// Started by path-load.ts, which wrote the argument itself: one JSON object. SIGTERM ends the plan early; the result is one JSON line.
const enough = new AbortController();
process.once("SIGTERM", () => enough.abort());
// A timer of the clock does not keep the process alive, and before its first connection nothing else does.
const alive = setInterval(() => undefined, 60_000);
const plan = JSON.parse(process.argv[2] ?? "{}") as LoadPlan;
process.stdout.write(`${JSON.stringify(await runLoad(plan, systemClock, enough.signal))}\n`);
clearInterval(alive);
process.exitCode = 0;
