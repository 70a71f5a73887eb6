import type { Registry } from "prom-client";
import type { AuthorityCertificate } from "#federation/model/authority-certificate.ts";
import { addGauge } from "./read-metrics.ts";

/** `atoll_authority_expiry_timestamp_seconds`. */
export function addAuthorityEnds(registry: Registry, authorities: () => readonly AuthorityCertificate[]): void {
  addGauge(registry, {
    name: "atoll_authority_expiry_timestamp_seconds",
    help: "When a certificate ends that others are issued by: a trust domain's root or authority, or what the federation's global plane issues by.",
    labels: ["role", "trust_domain"],
    read: (add) => {
      for (const { role, trustDomain, notAfterMs } of authorities()) add({ role, trust_domain: trustDomain }, notAfterMs / 1_000);
    },
  });
}
