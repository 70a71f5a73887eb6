import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { parseX509, type Issuer } from "#federation/identity/authority.ts";
import { notBeforeSkewMs } from "#federation/identity/certificate-writer.ts";
import { AtollError } from "#federation/runtime/errors.ts";
import { writePrivateFileSync } from "#federation/runtime/private-file.ts";

/** Until when SVIDs live that a plane has issued; wall-clock ms of the plane itself. */
export interface IssuedLives {
  /** When the last one ends that another intermediate than the present one has issued. */
  readonly earlierEndMs: number;
  /** How long those live that the present one issues. */
  readonly svidMs: number;
  /** When the last one ends that it has issued before it was told another life. */
  readonly formerLifeEndMs: number;
}

/** In which they lie, beside the intermediate. */
export const issuedLivesFile = "issued-lives.json";

/** The longest life that a plane can be told to give an SVID, in ms. */
const svidMsMax = 86_400_000;

/** @throws {ATOLL_CONFIG_INVALID} for another text than `JSON.stringify` makes of them */
export function parseIssuedLives(text: string): IssuedLives {
  const { earlierEndMs, svidMs, formerLifeEndMs } = JSON.parse(text) as Partial<Record<keyof IssuedLives, unknown>>;
  if (typeof earlierEndMs !== "number" || typeof svidMs !== "number" || typeof formerLifeEndMs !== "number") throw new AtollError("ATOLL_CONFIG_INVALID", "a time is missing");
  return { earlierEndMs, svidMs, formerLifeEndMs };
}

/** What they can be at most beside an intermediate of a version that kept no file of them, or where that is damaged. Pure. */
export function longestLives({ chain: [der] }: Pick<Issuer, "chain">): IssuedLives {
  const earlierEndMs = der === undefined ? 0 : parseX509(der).validFromDate.getTime() + notBeforeSkewMs + svidMsMax;
  return { earlierEndMs, svidMs: svidMsMax, formerLifeEndMs: 0 };
}

/** Those of a plane that issues for `svidMs` from now on, by the same intermediate. Pure. */
export function withLife(lives: IssuedLives, svidMs: number, nowMs: number): IssuedLives {
  return lives.svidMs === svidMs ? lives : { ...lives, svidMs, formerLifeEndMs: Math.max(lives.formerLifeEndMs, nowMs + lives.svidMs) };
}

/** Those of a plane that issues by another intermediate from now on. Pure. */
export function withIntermediate({ svidMs, formerLifeEndMs, earlierEndMs }: IssuedLives, nowMs: number): IssuedLives {
  return { earlierEndMs: Math.max(earlierEndMs, formerLifeEndMs, nowMs + svidMs), svidMs, formerLifeEndMs: 0 };
}

/** Notes in `directory`, beside the intermediate `issuer`, how long SVIDs live from now on. */
export function noteLife(directory: string, issuer: Issuer, svidMs: number, nowMs: number): void {
  const kept = readIssuedLives(directory);
  const next = withLife(kept ?? longestLives(issuer), svidMs, nowMs);
  if (next !== kept) writePrivateFileSync(join(directory, issuedLivesFile), JSON.stringify(next));
}

/** What `directory` holds of them; undefined where that is nothing, or damaged, which whoever reads the cluster's keys says. */
export function readIssuedLives(directory: string): IssuedLives | undefined {
  const path = join(directory, issuedLivesFile);
  if (!existsSync(path)) return undefined;
  try {
    return parseIssuedLives(readFileSync(path, "utf8"));
  } catch {
    return undefined;
  }
}
