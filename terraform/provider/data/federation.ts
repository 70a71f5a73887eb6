import { globalRoutes } from "#federation/admin-api/plane-routes.ts";
import type { ReadSource } from "../managed.ts";
import { bool, number, read, text } from "./read-attribute.ts";

/** `atoll_federation`: the federation as the global plane sees it now. */
export const federation: ReadSource = {
  schema: {
    description: "The federation as its global plane sees it now.",
    attributes: [
      read("trust_domain", text, "Of planes and engines."),
      read("clusters", { kind: "objectList", attributes: [read("name", text, ""), read("region", text, ""), read("trust_domain", text, ""), read("is_connected", bool, "Its heartbeats arrive."), read("services_exported", number, "")] }, "Every cluster."),
      read("relationships", { kind: "objectList", attributes: [read("name", text, ""), read("caller", text, ""), read("callee", text, ""), read("state", text, "`active`, `waitingForApproval`, `expired` or `invalid`."), read("valid_until", text, "")] }, "Every relationship."),
    ],
  },
  async read(_config, planes, signal) {
    const { body } = await planes.of(undefined).call(globalRoutes.status, {}, signal);
    return {
      trust_domain: body.federation,
      clusters: body.clusters.map(({ id, region, trustDomain, connected, servicesExported }) => ({ name: id, region, trust_domain: trustDomain, is_connected: connected, services_exported: servicesExported })),
      relationships: body.relationships.map(({ name, caller, callee, state, validUntil }) => ({ name, caller, callee, state, valid_until: validUntil })),
    };
  },
};
