import { systemClock } from "#federation/runtime/clock.ts";
import { OverloadApp } from "./app.ts";
import type { AppConfig } from "./app.ts";

// Started by two-sidecars.ts and three-hops.ts, which wrote the argument themselves: a JSON array of applications, each on its port.
for (const config of JSON.parse(process.argv[2] ?? "[]") as readonly AppConfig[]) await OverloadApp.open(config, systemClock);
process.once("SIGTERM", () => process.exit(0));
