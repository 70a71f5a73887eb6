import { generateKeyPairSync } from "node:crypto";
import type { ObjectRecord } from "#federation/catalog/records.ts";
import { encodeExportedService } from "#federation/model/parse/parse-resource.ts";
import type { ExportedService, Resource } from "#federation/model/resource.ts";
import type { ObjectPayload } from "#federation/model/replicated-object.ts";
import { recordOf } from "#federation/replication/shell/catalog-replica-store.ts";
import { signObject } from "#federation/wire/signed-object.ts";
import { serviceImport } from "../cluster-state-fixture.ts";

const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
const chain = [new Uint8Array(publicKey.export({ type: "spki", format: "der" }))];

/** An object as a plane keeps it after verification; tests that read what is stored ask nothing of the chain. */
export function storedObject(over: Partial<ObjectPayload> & Pick<ObjectPayload, "origin" | "kind" | "key" | "value">): ObjectRecord {
  const payload: ObjectPayload = {
    federation: "demo.atoll",
    originTrustDomain: over.origin === "global" ? "demo.atoll" : "shop.example",
    generation: { epoch: 1, revision: 1 },
    audience: ["*"],
    tombstone: false,
    ...over,
  };
  return recordOf(signObject(payload, { privateKey, chain }), 5);
}

/** A resource of the global plane as it was received. */
export function storedResource(resource: Resource, revision = 1): ObjectRecord {
  return storedObject({ origin: "global", kind: resource.kind, key: resource.metadata.name, value: Buffer.from(JSON.stringify(resource)), generation: { epoch: 1, revision } });
}

/** An export of another cluster as it was received; shop-us exports web/storefront unless told. */
export function exportedService(over: Partial<ExportedService> = {}): ExportedService {
  const { origin: _origin, appliedAtMs: _at, ...spec } = serviceImport({}).spec;
  return { ...spec, ...over };
}

export function storedExport(exported: ExportedService): ObjectRecord {
  return storedObject({
    origin: exported.cluster,
    originTrustDomain: exported.trustDomain,
    kind: "ServiceExport",
    key: `${exported.namespace}/${exported.name}`,
    value: encodeExportedService(exported),
  });
}
