import { integerField, listField, objectField, stringField } from "#federation/runtime/config.ts";
import { runDemoProcess } from "./demo-process.ts";
import { endpointField } from "./endpoint-field.ts";
import { startRelay, type RelayConfig } from "./relay.ts";

const relayField = objectField({
  name: stringField({ max: 128 }),
  dataDir: stringField(),
  links: listField(
    objectField({
      name: stringField({ max: 128 }),
      listen: endpointField,
      target: endpointField,
      oneWayMs: integerField({ min: 0, max: 10_000 }),
    }),
    { min: 1 },
  ),
});

runDemoProcess<RelayConfig>(process.argv.slice(2), relayField, startRelay);
