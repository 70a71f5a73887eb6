import { addressField, choiceField, integerField, objectField, optionalField, portField, stringField } from "#federation/runtime/config.ts";
import { startApp, type AppConfig } from "./app.ts";
import { runDemoProcess } from "./demo-process.ts";

const endpointField = objectField({ address: addressField, port: portField });

const appField = objectField({
  name: stringField({ max: 128 }),
  dataDir: stringField(),
  kind: choiceField(["storefront", "catalog", "payments"]),
  region: stringField({ max: 63 }),
  listen: endpointField,
  workMs: integerField({ min: 0, max: 60_000 }),
  outbound: optionalField(endpointField),
  callDeadlineMs: integerField({ min: 1, max: 600_000 }),
});

runDemoProcess<AppConfig>(process.argv.slice(2), appField, startApp);
