/**
 * What Terraform's plugin protocol 6 and go-plugin put on the wire, as far as this provider speaks it, in protobufjs' form for a schema.
 * Names and numbers are the protocol's (6.8, of Terraform 1.11; newer minor versions only add); what is never read is left out, and
 * protobuf skips it.
 * @see https://developer.hashicorp.com/terraform/plugin/terraform-plugin-protocol
 */

/** `name: [number, type]`, or with a rule: `name: [number, type, "repeated"]`. */
type Fields = Readonly<Record<string, readonly [id: number, type: string, rule?: "repeated"]>>;
type Methods = Readonly<Record<string, readonly [request: string, response: string, streams?: "response" | "both"]>>;

export const terraformPackage = "tfplugin6";
export const pluginPackage = "plugin";

const typeName = { type_name: [1, "string"] } as const satisfies Fields;
const diagnosticsAlone = { diagnostics: [1, "Diagnostic", "repeated"] } as const satisfies Fields;
const config: Fields = { ...typeName, config: [2, "DynamicValue"] };

/** Messages of both directions. `A.B` lies in `A`. */
const messages: Readonly<Record<string, Fields>> = {
  DynamicValue: { msgpack: [1, "bytes"], json: [2, "bytes"] },
  Diagnostic: { severity: [1, "int32"], summary: [2, "string"], detail: [3, "string"], attribute: [4, "AttributePath"] },
  AttributePath: { steps: [1, "AttributePathStep", "repeated"] },
  AttributePathStep: { attribute_name: [1, "string"], element_key_string: [2, "string"], element_key_int: [3, "int64"] },
  RawState: { json: [1, "bytes"] },
  Schema: { version: [1, "int64"], block: [2, "Block"] },
  Block: { version: [1, "int64"], attributes: [2, "Attribute", "repeated"], block_types: [3, "NestedBlock", "repeated"], description: [4, "string"], description_kind: [5, "int32"] },
  // This provider has none; the one that its tests stand in for has many.
  NestedBlock: { type_name: [1, "string"], block: [2, "Block"], nesting: [3, "int32"], min_items: [4, "int64"], max_items: [5, "int64"] },
  Attribute: {
    name: [1, "string"],
    type: [2, "bytes"],
    description: [3, "string"],
    required: [4, "bool"],
    optional: [5, "bool"],
    computed: [6, "bool"],
    sensitive: [7, "bool"],
    description_kind: [8, "int32"],
    nested_type: [10, "NestedObject"],
  },
  NestedObject: { attributes: [1, "Attribute", "repeated"], nesting: [3, "int32"] },
  ServerCapabilities: { plan_destroy: [1, "bool"], get_provider_schema_optional: [2, "bool"], move_resource_state: [3, "bool"] },
  TypeName: typeName,
  Empty: {},
  GetMetadataResponse: {
    server_capabilities: [1, "ServerCapabilities"],
    diagnostics: [2, "Diagnostic", "repeated"],
    data_sources: [3, "TypeName", "repeated"],
    resources: [4, "TypeName", "repeated"],
    ephemeral_resources: [6, "TypeName", "repeated"],
  },
  GetProviderSchemaResponse: {
    provider: [1, "Schema"],
    resource_schemas: [2, "map:Schema"],
    data_source_schemas: [3, "map:Schema"],
    diagnostics: [4, "Diagnostic", "repeated"],
    server_capabilities: [6, "ServerCapabilities"],
    ephemeral_resource_schemas: [8, "map:Schema"],
  },
  ValidateProviderConfigRequest: { config: [1, "DynamicValue"] },
  ConfigureProviderRequest: { terraform_version: [1, "string"], config: [2, "DynamicValue"] },
  ConfigRequest: config,
  DiagnosticsResponse: diagnosticsAlone,
  UpgradeResourceStateRequest: { ...typeName, version: [2, "int64"], raw_state: [3, "RawState"] },
  UpgradeResourceStateResponse: { upgraded_state: [1, "DynamicValue"], diagnostics: [2, "Diagnostic", "repeated"] },
  ReadResourceRequest: { ...typeName, current_state: [2, "DynamicValue"], private: [3, "bytes"] },
  ReadResourceResponse: { new_state: [1, "DynamicValue"], diagnostics: [2, "Diagnostic", "repeated"], private: [3, "bytes"] },
  PlanResourceChangeRequest: { ...typeName, prior_state: [2, "DynamicValue"], proposed_new_state: [3, "DynamicValue"], config: [4, "DynamicValue"], prior_private: [5, "bytes"] },
  PlanResourceChangeResponse: { planned_state: [1, "DynamicValue"], requires_replace: [2, "AttributePath", "repeated"], planned_private: [3, "bytes"], diagnostics: [4, "Diagnostic", "repeated"] },
  ApplyResourceChangeRequest: { ...typeName, prior_state: [2, "DynamicValue"], planned_state: [3, "DynamicValue"], config: [4, "DynamicValue"], planned_private: [5, "bytes"] },
  ApplyResourceChangeResponse: { new_state: [1, "DynamicValue"], private: [2, "bytes"], diagnostics: [3, "Diagnostic", "repeated"] },
  ImportResourceStateRequest: { ...typeName, id: [2, "string"] },
  ImportedResource: { ...typeName, state: [2, "DynamicValue"], private: [3, "bytes"] },
  ImportResourceStateResponse: { imported_resources: [1, "ImportedResource", "repeated"], diagnostics: [2, "Diagnostic", "repeated"] },
  MoveResourceStateResponse: { target_state: [1, "DynamicValue"], diagnostics: [2, "Diagnostic", "repeated"] },
  ReadDataSourceResponse: { state: [1, "DynamicValue"], diagnostics: [2, "Diagnostic", "repeated"] },
  OpenEphemeralResourceResponse: { diagnostics: [1, "Diagnostic", "repeated"], result: [3, "DynamicValue"] },
  EphemeralRequest: { ...typeName, private: [2, "bytes"] },
  GetFunctionsResponse: { diagnostics: [2, "Diagnostic", "repeated"] },
  StopProviderResponse: { Error: [1, "string"] },
};

/** Of these exactly one is written, be it 0 or empty. */
const oneofs: Readonly<Record<string, Readonly<Record<string, readonly string[]>>>> = {
  AttributePathStep: { selector: ["attribute_name", "element_key_string", "element_key_int"] },
};

const provider: Methods = {
  GetMetadata: ["Empty", "GetMetadataResponse"],
  GetProviderSchema: ["Empty", "GetProviderSchemaResponse"],
  ValidateProviderConfig: ["ValidateProviderConfigRequest", "DiagnosticsResponse"],
  ValidateResourceConfig: ["ConfigRequest", "DiagnosticsResponse"],
  ValidateDataResourceConfig: ["ConfigRequest", "DiagnosticsResponse"],
  UpgradeResourceState: ["UpgradeResourceStateRequest", "UpgradeResourceStateResponse"],
  ConfigureProvider: ["ConfigureProviderRequest", "DiagnosticsResponse"],
  ReadResource: ["ReadResourceRequest", "ReadResourceResponse"],
  PlanResourceChange: ["PlanResourceChangeRequest", "PlanResourceChangeResponse"],
  ApplyResourceChange: ["ApplyResourceChangeRequest", "ApplyResourceChangeResponse"],
  ImportResourceState: ["ImportResourceStateRequest", "ImportResourceStateResponse"],
  MoveResourceState: ["Empty", "MoveResourceStateResponse"],
  ReadDataSource: ["ConfigRequest", "ReadDataSourceResponse"],
  ValidateEphemeralResourceConfig: ["ConfigRequest", "DiagnosticsResponse"],
  OpenEphemeralResource: ["ConfigRequest", "OpenEphemeralResourceResponse"],
  RenewEphemeralResource: ["EphemeralRequest", "DiagnosticsResponse"],
  CloseEphemeralResource: ["EphemeralRequest", "DiagnosticsResponse"],
  GetFunctions: ["Empty", "GetFunctionsResponse"],
  StopProvider: ["Empty", "StopProviderResponse"],
};

/** go-plugin's own services: Terraform opens the streams of the first two at each start, and ends the plugin by the third. */
const plugin = {
  GRPCStdio: { StreamStdio: ["Empty", "StdioData", "response"] },
  GRPCBroker: { StartStream: ["ConnInfo", "ConnInfo", "both"] },
  GRPCController: { Shutdown: ["Empty", "Empty"] },
} as const satisfies Readonly<Record<string, Methods>>;

export const descriptor = {
  nested: {
    [terraformPackage]: { nested: { ...mapEntries(messages, messageOf), Provider: serviceOf(provider) } },
    [pluginPackage]: {
      nested: {
        ...mapEntries({ Empty: {}, StdioData: { channel: [1, "int32"], data: [2, "bytes"] }, ConnInfo: { service_id: [1, "uint32"], network: [2, "string"], address: [3, "string"] } }, messageOf),
        ...mapEntries(plugin, serviceOf),
      },
    },
  },
};

function messageOf(fields: Fields, name: string): object {
  return {
    oneofs: mapEntries(oneofs[name] ?? {}, (oneof) => ({ oneof })),
    fields: mapEntries(fields, ([id, type, rule]) => {
      if (type.startsWith("map:")) return { keyType: "string", type: type.slice("map:".length), id };
      return { type, id, ...(rule === undefined ? {} : { rule }) };
    }),
  };
}

function serviceOf(methods: Methods): object {
  return {
    methods: mapEntries(methods, ([requestType, responseType, streams]) => ({
      requestType,
      responseType,
      ...(streams === "both" ? { requestStream: true } : {}),
      ...(streams === undefined ? {} : { responseStream: true }),
    })),
  };
}

function mapEntries<A, B>(record: Readonly<Record<string, A>>, map: (value: A, key: string) => B): Record<string, B> {
  return Object.fromEntries(Object.entries(record).map(([key, value]) => [key, map(value, key)]));
}
