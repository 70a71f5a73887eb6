import { existsSync, readFileSync } from "node:fs";
import protobuf from "protobufjs";
import { describe, expect, it } from "vitest";
import { buildEnvoyDescriptors, findEnvoySchemas } from "./build-envoy-descriptors.ts";
import { decodeDeltaRequest, decodeDeltaResponse, encodeDeltaRequest, encodeDeltaResponse, encodeResource } from "./discovery-messages.ts";
import type { DeltaRequest } from "./discovery-messages.ts";
import { resourceTypeUrls } from "./discovery-resources.ts";
import { refusedResourcesMax } from "./limits.ts";

const generated = new URL("generated/envoy-discovery.json", import.meta.url);

describe("Envoy's descriptors", () => {
  it.skipIf(findEnvoySchemas() === undefined)("are what the installed schemas say", () => {
    expect(readFileSync(generated, "utf8")).toBe(buildEnvoyDescriptors(findEnvoySchemas() ?? ""));
  });

  it("are in the tree for those who do not install the schemas", () => {
    expect(existsSync(generated)).toBe(true);
  });
});

/** The request's schema before refusals named anything. */
function olderRequest(): protobuf.Type {
  const json = JSON.parse(readFileSync(generated, "utf8")) as { nested: { google: { nested: { rpc: { nested: { Status: { fields: Record<string, unknown> } } } } } } };
  delete json.nested.google.nested.rpc.nested.Status.fields["details"];
  return protobuf.Root.fromJSON(json as unknown as protobuf.INamespace).lookupType("envoy.service.discovery.v3.DeltaDiscoveryRequest");
}

describe("delta discovery", () => {
  const request: DeltaRequest = {
    node: { id: "sidecar-1", cluster: "", region: "eu-west", zone: "a" },
    typeUrl: resourceTypeUrls.service,
    subscribe: ["*", "catalog.web.svc.shop.example"],
    unsubscribe: ["old"],
    initialVersions: { "catalog.web.svc.shop.example": "1.42" },
    responseNonce: "17",
    fault: { code: 3, message: "not a service", resources: ["catalog.web.svc.shop.example", "å"] },
  };

  it("carries requests, acknowledgements and refusals", () => {
    expect(decodeDeltaRequest(encodeDeltaRequest(request))).toEqual(request);
    const acknowledgement: DeltaRequest = { typeUrl: request.typeUrl, subscribe: [], unsubscribe: [], initialVersions: {}, responseNonce: "17" };
    expect(decodeDeltaRequest(encodeDeltaRequest(acknowledgement))).toEqual(acknowledgement);
  });

  it("carries refusals from and to those who know of no names in them", () => {
    const older = olderRequest();
    const { fault, ...plain } = request;
    const bytes = encodeDeltaRequest(request);
    expect(older.toObject(older.decode(bytes))).toMatchObject({ responseNonce: "17", errorDetail: { code: 3, message: "not a service" } });
    const theirs = older.encode(older.fromObject({ ...older.toObject(older.decode(encodeDeltaRequest(plain))), errorDetail: { code: 3, message: "no" } })).finish();
    expect(decodeDeltaRequest(theirs)).toEqual({ ...request, fault: { code: 3, message: "no", resources: [] } });
    expect(fault?.resources).toHaveLength(2);
  });

  it("reads so many names of a refusal and no more, and none of another kind of detail", () => {
    const names = Array.from({ length: refusedResourcesMax + 5 }, (_, index) => `r${index}`);
    expect(decodeDeltaRequest(encodeDeltaRequest({ ...request, fault: { code: 3, message: "m", resources: names } })).fault?.resources).toEqual(names.slice(0, refusedResourcesMax));
  });

  it.each([0, 1, 127, 128, 16_383, 16_384, 300_000])("carries a resource of %i bytes that was encoded once", (length) => {
    const resource = { name: "a", version: "1.1", typeUrl: resourceTypeUrls.bundle, value: new Uint8Array(length).fill(7) };
    const encoded = encodeResource(resource);
    const response = { typeUrl: resource.typeUrl, nonce: "1", systemVersion: "1.1", removed: ["b", "c"] };
    const received = decodeDeltaResponse(encodeDeltaResponse({ ...response, resources: [encoded, encoded] }));
    expect(received).toEqual({ ...response, resources: [resource, resource] });
  });

  it("carries every byte as it is", () => {
    const resource = { name: "å/\u{1f3dd}", version: "1", typeUrl: "t", value: Uint8Array.from({ length: 512 }, (_, index) => index) };
    const received = decodeDeltaResponse(encodeDeltaResponse({ typeUrl: "t", nonce: "1", systemVersion: "", resources: [encodeResource(resource)], removed: [] }));
    expect(received.resources).toEqual([resource]);
  });

  it("is what Envoy's own schema reads", () => {
    const root = protobuf.Root.fromJSON(JSON.parse(readFileSync(generated, "utf8")) as protobuf.INamespace);
    const type = root.lookupType("envoy.service.discovery.v3.DeltaDiscoveryResponse");
    const resources = [encodeResource({ name: "a", version: "1", typeUrl: "t", value: Uint8Array.of(1) })];
    const bytes = encodeDeltaResponse({ typeUrl: "t", nonce: "n", systemVersion: "s", resources, removed: [] });
    expect(type.toObject(type.decode(bytes))).toMatchObject({ typeUrl: "t", nonce: "n", resources: [{ name: "a", version: "1", resource: { typeUrl: "t" } }] });
  });
});
