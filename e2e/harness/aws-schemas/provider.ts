import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { sendUnaryData, ServerUnaryCall, UntypedServiceImplementation } from "@grpc/grpc-js";
import { systemClock } from "#federation/runtime/clock.ts";
import { services } from "../../../terraform/provider/protocol/definitions.ts";
import { checkStartedByTerraform, servePlugin } from "../../../terraform/provider/plugin/serve-plugin.ts";
import { readSchemas } from "./read-schemas.ts";

// In the place of hashicorp/aws where modules are checked: it has that provider's schemas, and can neither plan nor make anything. Terraform
// validates against them, and tests whose provider is mocked do.
const schemas = readSchemas(readFileSync(join(import.meta.dirname, "schemas.txt"), "utf8"));
const severityError = 1;

/** What is asked of a provider whose resources are mocked; everything else is refused. */
const answers: Readonly<Record<string, object>> = {
  GetProviderSchema: { provider: schemas.provider, resource_schemas: schemas.resources, data_source_schemas: schemas.dataSources },
  ValidateProviderConfig: {},
  ValidateResourceConfig: {},
  ValidateDataResourceConfig: {},
  GetFunctions: {},
  StopProvider: {},
};

function answering(method: string): (call: ServerUnaryCall<unknown, object>, answer: sendUnaryData<object>) => void {
  const refused = { diagnostics: [{ severity: severityError, summary: `These schemas stand in for a provider in tests: ${method} is for the real one.`, detail: "" }] };
  return (_call, answer) => answer(null, answers[method] ?? refused);
}

checkStartedByTerraform(process.env);
const provider: UntypedServiceImplementation = Object.fromEntries(Object.keys(services.provider).map((method) => [method, answering(method)]));
const ended = Promise.withResolvers<void>();
process.on("SIGINT", () => undefined);
process.on("SIGTERM", () => ended.resolve());
using _plugin = await servePlugin({ env: process.env, provider, onShutdown: () => ended.resolve(), announce: (line) => process.stdout.write(`${line}\n`), clock: systemClock });
await ended.promise;
