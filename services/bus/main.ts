import { parseArgs } from "node:util";
import { readConfigFile } from "#federation/runtime/config.ts";
import { AtollError } from "#federation/runtime/errors.ts";
import { runProcess } from "#federation/runtime/process.ts";
import { createPinoLogger } from "#federation/telemetry/pino-logger.ts";
import { busHubConfigField } from "./config.ts";
import { runHub } from "./run-hub.ts";

// The hub of the embedded bus: `run --config FILE`.
runProcess(async (signal) => {
  const { positionals, values } = parseArgs({ allowPositionals: true, options: { config: { type: "string" } }, strict: false });
  if (positionals[0] !== "run" || typeof values["config"] !== "string") {
    throw new AtollError("ATOLL_CONFIG_INVALID", "usage: services/bus/main.ts run --config FILE");
  }
  const config = readConfigFile(values["config"], busHubConfigField);
  const logger = createPinoLogger({ level: config.logLevel, fields: { process: "bus", name: config.name } });
  await runHub(config, logger, signal);
});
