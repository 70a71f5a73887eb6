import { createRequire } from "node:module";
import { existsSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { pathToFileURL } from "node:url";
import protobuf from "protobufjs";

// Envoy's schemas reach the tree only through this program: `node federation/wire/build-envoy-descriptors.ts` reads
// the .proto files of @grpc/grpc-js-xds and writes the few messages of delta and state-of-the-world discovery.

/** The messages that discovery needs, with the fields kept. */
const kept: Readonly<Record<string, readonly string[]>> = {
  "envoy.service.discovery.v3.DeltaDiscoveryRequest": [
    "node",
    "typeUrl",
    "resourceNamesSubscribe",
    "resourceNamesUnsubscribe",
    "initialResourceVersions",
    "responseNonce",
    "errorDetail",
  ],
  "envoy.service.discovery.v3.DeltaDiscoveryResponse": ["systemVersionInfo", "resources", "typeUrl", "removedResources", "nonce"],
  "envoy.service.discovery.v3.DiscoveryRequest": ["versionInfo", "node", "resourceNames", "typeUrl", "responseNonce", "errorDetail"],
  "envoy.service.discovery.v3.DiscoveryResponse": ["versionInfo", "resources", "typeUrl", "nonce"],
  "envoy.service.discovery.v3.Resource": ["name", "aliases", "version", "resource"],
  "envoy.config.core.v3.Node": ["id", "cluster", "metadata", "locality", "userAgentName"],
  "envoy.config.core.v3.Locality": ["region", "zone", "subZone"],
  "google.protobuf.Any": ["typeUrl", "value"],
  "google.protobuf.Struct": ["fields"],
  "google.protobuf.Value": ["nullValue", "numberValue", "stringValue", "boolValue", "structValue", "listValue"],
  "google.protobuf.ListValue": ["values"],
  "google.rpc.Status": ["code", "message", "details"],
  "google.rpc.ResourceInfo": ["resourceType", "resourceName"],
};

/** The folder of the installed schemas, or undefined when the development dependencies are not installed. */
export function findEnvoySchemas(): string | undefined {
  try {
    const folder = join(dirname(createRequire(import.meta.url).resolve("@grpc/grpc-js-xds/package.json")), "deps");
    return existsSync(folder) ? folder : undefined;
  } catch {
    return undefined; // Not installed: production installs leave development dependencies out.
  }
}

/** The text of generated/envoy-discovery.json, made from the schemas in `folder`. */
export function buildEnvoyDescriptors(folder: string): string {
  const root = new protobuf.Root();
  const folders = ["envoy-api", "xds", "googleapis", "protoc-gen-validate"].map((part) => join(folder, part));
  folders.push(dirname(createRequire(import.meta.url).resolve("protobufjs/package.json"))); // For google/protobuf/descriptor.proto.
  root.resolvePath = (_origin, target) => folders.map((path) => join(path, target)).find((path) => existsSync(path)) ?? null;
  for (const file of ["envoy/service/discovery/v3/discovery.proto", "envoy/config/core/v3/base.proto", "google/rpc/status.proto", "google/rpc/error_details.proto"]) root.loadSync(file);
  const tree: NestedJson = { nested: {} };
  for (const [name, fields] of Object.entries(kept)) place(tree, name, messageJson(root.lookupType(name), fields));
  place(tree, "google.protobuf.NullValue", { values: { NULL_VALUE: 0 } });
  return `${JSON.stringify(tree, null, 1)}\n`;
}

interface NestedJson {
  nested: Record<string, NestedJson | object>;
}

function messageJson(type: protobuf.Type, fieldNames: readonly string[]): object {
  const fields: Record<string, object> = {};
  for (const name of fieldNames) {
    // protobufjs's own google/protobuf/any.proto keeps the names of the file.
    const field = type.fields[name] ?? type.fields[name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)];
    if (field === undefined) throw new Error(`${type.fullName} has no field ${name}: the schemas have changed`);
    field.resolve();
    fields[name] = {
      ...(field instanceof protobuf.MapField ? { keyType: field.keyType } : {}),
      ...(field.repeated ? { rule: "repeated" } : {}),
      type: field.resolvedType === null ? field.type : field.resolvedType.fullName.slice(1),
      id: field.id,
    };
  }
  return { fields };
}

function place(tree: NestedJson, fullName: string, leaf: object): void {
  const path = fullName.split(".");
  const last = path.pop() ?? "";
  let at = tree;
  for (const part of path) at = (at.nested[part] ??= { nested: {} }) as NestedJson;
  at.nested[last] = leaf;
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const folder = findEnvoySchemas();
  if (folder === undefined) throw new Error("@grpc/grpc-js-xds is not installed; run npm install first");
  writeFileSync(new URL("generated/envoy-discovery.json", import.meta.url), buildEnvoyDescriptors(folder));
}
