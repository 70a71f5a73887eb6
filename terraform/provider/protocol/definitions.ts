import type { ServiceDefinition } from "@grpc/grpc-js";
import { fromJSON } from "@grpc/proto-loader";
import { descriptor, pluginPackage, terraformPackage } from "./descriptor.ts";

// Empty messages and lists are written out, so that handlers need not ask whether they are there; a DynamicValue that is absent stays null.
const loaded = fromJSON(descriptor, { keepCase: true, longs: Number, defaults: true, arrays: true, objects: true });

/** gRPC's definitions of the services that a provider has. */
export const services = {
  provider: serviceAt(`${terraformPackage}.Provider`),
  stdio: serviceAt(`${pluginPackage}.GRPCStdio`),
  broker: serviceAt(`${pluginPackage}.GRPCBroker`),
  controller: serviceAt(`${pluginPackage}.GRPCController`),
} as const;

function serviceAt(name: string): ServiceDefinition {
  const found = loaded[name];
  if (found === undefined || "format" in found) throw new Error(`the descriptor has no service ${name}`);
  return found;
}
