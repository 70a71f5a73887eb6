import { addressField, integerField, listField, objectField, portField, stringField } from "#federation/runtime/config.ts";
import { runDemoProcess } from "./demo-process.ts";
import { startRelay, type RelayConfig } from "./relay.ts";

const endpointField = objectField({ address: addressField, port: portField });

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
