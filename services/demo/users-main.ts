import { addressField, integerField, objectField, portField, stringField } from "#federation/runtime/config.ts";
import { runDemoProcess } from "./demo-process.ts";
import { startUsers, type UsersConfig } from "./users.ts";

const usersField = objectField({
  name: stringField({ max: 128 }),
  dataDir: stringField(),
  region: stringField({ max: 63 }),
  edge: objectField({ address: addressField, port: portField }),
  host: stringField({ max: 253 }),
  ratePerSecond: integerField({ min: 1, max: 20_000 }),
  rampMs: integerField({ min: 0, max: 600_000 }),
  deadlineMs: integerField({ min: 1, max: 600_000 }),
});

runDemoProcess<UsersConfig>(process.argv.slice(2), usersField, startUsers);
