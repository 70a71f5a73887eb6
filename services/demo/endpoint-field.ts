import { addressField, objectField, portField } from "#federation/runtime/config.ts";

/** Where somebody listens. */
export const endpointField = objectField({ address: addressField, port: portField });
