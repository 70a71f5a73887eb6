import type { SeenEngines } from "#federation/model/engine-report.ts";
import type { FederationStatus } from "./status.ts";

/** What a plane has seen of its engines, as its status shows it; nothing where it has seen none. Pure. */
export function enginesField(seen: SeenEngines | undefined): Pick<FederationStatus, "engines" | "engineCertificates"> {
  const { reports = [], certificates = [] } = seen ?? {};
  return {
    ...(reports.length === 0 ? {} : { engines: structuredClone(reports) as NonNullable<FederationStatus["engines"]> }),
    ...(certificates.length === 0 ? {} : { engineCertificates: certificates.map((row) => ({ ...row })) }),
  };
}
