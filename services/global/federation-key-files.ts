import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { TrustDomainName } from "#federation/model/names.ts";
import { parseTrustDomainName } from "#federation/model/spiffe-id.ts";
import { AtollError } from "#federation/runtime/errors.ts";

/** Files of a federation's keys below a data directory. The root's key is for taking offline; the authority's stays, because it certifies the signing key at each start. */
export const keyFiles = {
  name: "federation.json",
  root: "federation-root",
  authority: "federation-authority",
  issuing: "federation-issuing",
  adminContext: "admin-context.json",
} as const;

/** The name of the federation whose keys lie in `dataDir`. @throws {ATOLL_CONFIG_INVALID} */
export function readFederationName(dataDir: string): TrustDomainName {
  const content: unknown = JSON.parse(readKeyFile(dataDir, keyFiles.name));
  const name = typeof content === "object" && content !== null && "federation" in content ? content.federation : undefined;
  if (typeof name !== "string") throw new AtollError("ATOLL_CONFIG_INVALID", `${join(dataDir, keyFiles.name)} does not name a federation`);
  return parseTrustDomainName(name);
}

/** The text of one of them. @throws {ATOLL_CONFIG_INVALID} */
export function readKeyFile(dataDir: string, name: string): string {
  try {
    return readFileSync(join(dataDir, name), "utf8");
  } catch (error) {
    throw new AtollError("ATOLL_CONFIG_INVALID", `${join(dataDir, name)} cannot be read; run the init command first`, { cause: error });
  }
}
