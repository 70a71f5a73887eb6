import type { MethodDefinition, ServiceDefinition } from "@grpc/grpc-js";
import protobuf from "protobufjs";
import { descriptor, pluginPackage, terraformPackage } from "./descriptor.ts";

const root = protobuf.Root.fromJSON(descriptor);

// Empty messages and lists are written out, so that handlers need not ask whether they are there; a DynamicValue that is absent stays null.
const readAs = { longs: Number, defaults: true, arrays: true, objects: true } as const;

/**
 * gRPC's definitions of the services that a provider has. They are made here and not by @grpc/proto-loader, which describes every
 * message for reflection as well: a sixth of the provider's start.
 */
export const services = {
  provider: serviceAt(`${terraformPackage}.Provider`),
  stdio: serviceAt(`${pluginPackage}.GRPCStdio`),
  broker: serviceAt(`${pluginPackage}.GRPCBroker`),
  controller: serviceAt(`${pluginPackage}.GRPCController`),
} as const;

function serviceAt(name: string): ServiceDefinition {
  const service = root.lookupService(name);
  return Object.fromEntries(service.methodsArray.map((method) => [method.name, methodOf(name, service, method)]));
}

function methodOf(serviceName: string, service: protobuf.Service, method: protobuf.Method): MethodDefinition<object, object> {
  const request = service.lookupType(method.requestType);
  const response = service.lookupType(method.responseType);
  return {
    path: `/${serviceName}/${method.name}`,
    requestStream: method.requestStream === true,
    responseStream: method.responseStream === true,
    requestSerialize: writerOf(request),
    requestDeserialize: readerOf(request),
    responseSerialize: writerOf(response),
    responseDeserialize: readerOf(response),
  };
}

function writerOf(type: protobuf.Type): (fields: object) => Buffer {
  return (fields) => {
    const bytes = type.encode(type.fromObject(fields)).finish();
    return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  };
}

function readerOf(type: protobuf.Type): (bytes: Uint8Array) => object {
  return (bytes) => type.toObject(type.decode(bytes), readAs);
}
