import { readFileSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { z } from "zod";
import { AtollError } from "#federation/runtime/errors.ts";
import { faultsOf, formatFault } from "#federation/model/parse/fault.ts";
import { clusterIdSchema, trustDomainSchema } from "#federation/model/parse/name-schemas.ts";

/** The file that `--context` names: where the planes of a federation on other machines are. */
export interface PlaneFile {
  /** Text of the admin context. @throws {ATOLL_CONFIG_INVALID} when it cannot be read. */
  readonly adminText: () => string;
  /** `host:port` of each cluster's local admin API. */
  readonly planes: ReadonlyMap<string, string>;
  /** Which cluster's plane holds the authority of each trust domain. */
  readonly signers: ReadonlyMap<string, string>;
}

const serverSchema = z.string().max(300).regex(/^(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9.-]+):\d{1,5}$/, "host:port");
const clustersMax = 10_000;
/** Unknown fields are refused: a misspelt one would silently leave a plane out. */
const schema = z.strictObject({
  /** The admin context that the global plane wrote; relative to this file. */
  admin: z.string().min(1).max(4_096),
  planes: z.record(clusterIdSchema, serverSchema).refine((planes) => Object.keys(planes).length <= clustersMax, `at most ${clustersMax} planes`),
  signers: z.record(trustDomainSchema, clusterIdSchema).default({}),
});

/** @throws {ATOLL_CONFIG_INVALID} when it cannot be read or understood, with every fault. */
export function readPlaneFile(path: string): PlaneFile {
  const { admin, planes, signers } = parse(path);
  const adminFile = resolve(dirname(path), admin);
  return { adminText: () => readText(adminFile), planes: new Map(Object.entries(planes)), signers: new Map(Object.entries(signers)) };
}

function parse(path: string): z.infer<typeof schema> {
  let input: unknown;
  const text = readText(path);
  try {
    input = JSON.parse(text);
  } catch (cause) {
    throw new AtollError("ATOLL_CONFIG_INVALID", `${path}: it is not JSON`, { cause });
  }
  const result = schema.safeParse(input);
  if (result.success) return result.data;
  throw new AtollError("ATOLL_CONFIG_INVALID", `${path}: ${faultsOf(result.error, input).map(formatFault).join("; ")}`);
}

function readText(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (cause) {
    throw new AtollError("ATOLL_CONFIG_INVALID", `${path} cannot be read`, { cause });
  }
}
