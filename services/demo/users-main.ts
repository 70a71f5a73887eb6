import { integerField, listField, objectField, optionalField, stringField } from "#federation/runtime/config.ts";
import { runDemoProcess } from "./demo-process.ts";
import { endpointField } from "./endpoint-field.ts";
import { ratePerSecondMax, startUsers, type UsersConfig } from "./users.ts";

const usersField = objectField({
  name: stringField({ max: 128 }),
  dataDir: stringField(),
  groups: listField(
    objectField({
      region: stringField({ max: 63 }),
      edge: endpointField,
      ratePerSecond: integerField({ min: 1, max: ratePerSecondMax }),
      target: optionalField(objectField({ host: stringField({ max: 253 }), path: stringField({ max: 1_024 }) })),
    }),
    { min: 1 },
  ),
  host: stringField({ max: 253 }),
  deadlineMs: integerField({ min: 1, max: 600_000 }),
  firstAnswers: integerField({ min: 0, max: 100_000 }),
  rampMs: integerField({ min: 0, max: 600_000 }),
});

runDemoProcess<UsersConfig>(process.argv.slice(2), usersField, startUsers);
