import { parseArgs } from "node:util";
import { readConfigFile } from "#federation/runtime/config.ts";
import { systemClock } from "#federation/runtime/clock.ts";
import { AtollError } from "#federation/runtime/errors.ts";
import { runProcess } from "#federation/runtime/process.ts";
import { systemRandom } from "#federation/runtime/random.ts";
import { createPinoLogger } from "#federation/telemetry/pino-logger.ts";
import { proxyConfigField } from "./config.ts";
import { runGateway } from "./gateway.ts";
import { runSidecar } from "./sidecar.ts";

/** Time for the goodbye to the plane, on top of what connections may take. */
const leaveMs = 5_000;
const drainMsMax = 605_000;

runProcess(async (signal) => {
  const { values } = parseArgs({ options: { config: { type: "string" } } });
  if (values.config === undefined) throw new AtollError("ATOLL_CONFIG_INVALID", "usage: proxy/main.ts --config FILE");
  const config = readConfigFile(values.config, proxyConfigField);
  const logger = createPinoLogger({ level: config.logLevel, fields: { proxy: config.name, mode: config.mode } });
  const parts = { clock: systemClock, random: systemRandom, logger };
  signal.addEventListener("abort", () => systemClock.schedule(config.drainMs + leaveMs, () => process.exit(1)), { once: true });
  await (config.mode === "gateway" ? runGateway(config, parts, signal) : runSidecar(config, parts, signal));
}, drainMsMax);
