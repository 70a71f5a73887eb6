import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { TrustDomainName } from "#federation/model/names.ts";
import { parseTrustDomainName } from "#federation/model/spiffe-id.ts";
import { AtollError, isAtollError } from "#federation/runtime/errors.ts";
import { hasInstanceId } from "#federation/runtime/instance-id.ts";

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
  const text = readKeyFile(dataDir, keyFiles.name);
  const content: unknown = useKeyFiles(dataDir, [keyFiles.name], () => JSON.parse(text));
  const name = typeof content === "object" && content !== null && "federation" in content ? content.federation : undefined;
  if (typeof name !== "string") throw new AtollError("ATOLL_CONFIG_INVALID", `${join(dataDir, keyFiles.name)} does not name a federation`);
  return parseTrustDomainName(name);
}

/** The text of one of them. @throws {ATOLL_CONFIG_INVALID} */
export function readKeyFile(dataDir: string, name: string): string {
  try {
    return readFileSync(join(dataDir, name), "utf8");
  } catch (error) {
    const advice = hasServed(dataDir) ? putBack : "run the init command first";
    throw new AtollError("ATOLL_CONFIG_INVALID", `${join(dataDir, name)} cannot be read; ${advice}`, { cause: error });
  }
}

const putBack = "put it back from a copy";

/** Whether a global plane has run over `dataDir`: from then on nobody has its keys but who has copies of them. */
export function hasServed(dataDir: string): boolean {
  return hasInstanceId(dataDir) || existsSync(join(dataDir, keyFiles.adminContext));
}

/** What `use` makes of the files `names`. @throws its own error, or {ATOLL_CONFIG_INVALID}, with the names of the files. */
export function useKeyFiles<T>(dataDir: string, names: readonly string[], use: () => T): T {
  try {
    return use();
  } catch (error) {
    const code = isAtollError(error) ? error.code : "ATOLL_CONFIG_INVALID";
    throw new AtollError(code, `${names.map((name) => join(dataDir, name)).join(" or ")} cannot be used; ${putBack}`, { cause: error });
  }
}
