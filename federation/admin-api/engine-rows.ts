import type { EngineReport } from "#federation/model/engine-report.ts";
import type { FederationStatus } from "./status.ts";

/** A plane's engines as its status says them; nothing where there is nothing to say. */
export function enginesField(reports: readonly EngineReport[] | undefined): Pick<FederationStatus, "engines"> {
  if (reports === undefined || reports.length === 0) return {};
  return { engines: structuredClone(reports) as NonNullable<FederationStatus["engines"]> };
}
