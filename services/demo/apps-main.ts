import { choiceField, integerField, listField, objectField, optionalField, stringField } from "#federation/runtime/config.ts";
import { startApps, workMsMax, type AppsConfig } from "./app.ts";
import { runDemoProcess } from "./demo-process.ts";
import { endpointField } from "./endpoint-field.ts";

const appsField = objectField({
  name: stringField({ max: 128 }),
  dataDir: stringField(),
  region: stringField({ max: 63 }),
  callDeadlineMs: integerField({ min: 1, max: 600_000 }),
  apps: listField(
    objectField({
      name: stringField({ max: 128 }),
      kind: choiceField(["storefront", "catalog", "payments"]),
      listen: endpointField,
      workMs: integerField({ min: 0, max: workMsMax }),
      outbound: optionalField(endpointField),
    }),
    { min: 1 },
  ),
});

runDemoProcess<AppsConfig>(process.argv.slice(2), appsField, startApps);
