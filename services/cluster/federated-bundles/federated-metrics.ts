import { Counter, type Registry } from "prom-client";
import { federatedTrustDomainsMax } from "#federation/model/federated-trust-domain.ts";
import { addGauge } from "#federation/telemetry/read-metrics.ts";
import type { FederatedRow } from "./federated-rows.ts";

/** Rounds over a trust domain's URLs, by how they ended. */
export type FetchCounter = Counter<"result">;

/** `rows` is empty while this plane does not lead. */
export function addFederatedMetrics(registry: Registry, rows: () => readonly FederatedRow[]): FetchCounter {
  addGauge(registry, { name: "atoll_federated_trust_domains", help: `Federated trust domains of this cluster, of ${federatedTrustDomainsMax}.`, read: (add) => add({}, rows().length) });
  const perDomain = (name: string, help: string, valueOf: (row: FederatedRow) => number | undefined): void =>
    addGauge(registry, {
      name,
      help,
      labels: ["trust_domain"],
      read: (add) => {
        for (const row of rows()) {
          const value = valueOf(row);
          if (value !== undefined) add({ trust_domain: row.trustDomain }, value);
        }
      },
    });
  perDomain("atoll_federated_bundle_sequence", "The sequence number of the bundle that is believed of a federated trust domain; no value without one.", ({ sequence }) => sequence);
  perDomain("atoll_federated_bundle_confirmed_timestamp_seconds", "When its endpoint last said what is believed of a federated trust domain; no value before this plane has heard it.", ({ confirmedAtMs }) => seconds(confirmedAtMs));
  perDomain("atoll_federated_roots_expiry_timestamp_seconds", "When the last root of a federated trust domain ends.", ({ rootsNotAfterMs }) => seconds(rootsNotAfterMs));
  perDomain("atoll_federated_bundle_failing", "1 while the bundle of a federated trust domain cannot be fetched, or is not taken.", ({ fault }) => (fault === undefined ? 0 : 1));
  return new Counter({ name: "atoll_federated_fetches_total", help: "Rounds over the URLs of federated trust domains: accepted, unchanged, or why nothing was taken.", labelNames: ["result"], registers: [registry] });
}

function seconds(ms: number | undefined): number | undefined {
  return ms === undefined ? undefined : ms / 1_000;
}
