import { clusterRoutes } from "#federation/admin-api/plane-routes.ts";
import type { ReadSource } from "../managed.ts";
import { number, read, text } from "./read-attribute.ts";
import { questionAttributes, questionOf } from "./service-question.ts";

/** `atoll_placement`: where a cluster's callers of a service are served, and why. */
export const placement: ReadSource = {
  schema: {
    description: "Where requests of a cluster's callers to a service go, by what that cluster's plane knows: as `atoll explain`.",
    attributes: [
      ...questionAttributes("Whose plane is asked."),
      read("chosen", text, "The cluster to which a request goes first; null when there is none."),
      read(
        "places",
        {
          kind: "objectList",
          attributes: [read("cluster", text, ""), read("region", text, ""), read("verdict", text, ""), read("endpoints_ready", number, ""), read("endpoints_unknown", number, "Not heard; asked all the same."), read("endpoints_total", number, ""), read("load_share", number, "From 0 to 1."), read("reason", text, "")],
        },
        "In the order in which they are tried.",
      ),
    ],
  },
  async read(config, planes, signal) {
    const { cluster, question } = questionOf(config);
    const { body } = await planes.of(cluster).call(clusterRoutes.explain, { query: question }, signal);
    const places = body.places.toSorted((one, other) => one.order - other.order);
    return {
      cluster,
      service: question.service,
      region: question.region ?? null,
      chosen: body.chosen ?? null,
      places: places.map((place) => ({
        cluster: place.cluster,
        region: place.region,
        verdict: place.verdict,
        endpoints_ready: place.endpointsReady,
        endpoints_unknown: place.endpointsUnknown ?? 0,
        endpoints_total: place.endpointsTotal,
        load_share: place.loadShare,
        reason: place.reason,
      })),
    };
  },
};
