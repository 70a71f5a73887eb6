import { systemClock } from "#federation/runtime/clock.ts";
import { runOpenLoop } from "./open-loop.ts";
import type { OpenLoopRequest } from "./open-loop.ts";

// Started by latency.ts, which wrote the argument itself: one JSON object. The result is one JSON line.
const request = JSON.parse(process.argv[2] ?? "{}") as OpenLoopRequest;
process.stdout.write(`${JSON.stringify(await runOpenLoop(request, systemClock))}\n`);
process.exitCode = 0;
