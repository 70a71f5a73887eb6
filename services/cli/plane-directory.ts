import { readFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { z } from "zod";
import { AtollError } from "#federation/runtime/errors.ts";
import { faultsOf, formatFault } from "#federation/model/parse/fault.ts";
import { clusterIdSchema, trustDomainSchema } from "#federation/model/parse/name-schemas.ts";
import type { FederationPlan } from "./up/demo-federation.ts";
import { planeName, type Topology } from "./up/topology.ts";

/** Which planes a federation has, and how an administrator reaches them. */
export interface PlaneDirectory {
  readonly clusters: readonly string[];
  /** Text of the admin context. @throws {ATOLL_FEDERATION_NOT_RUNNING | ATOLL_USAGE} when there is none yet. */
  contextText(): string;
  /** `host:port` of a cluster's local admin API, or of the global plane's ("global"); undefined: as the admin context says. */
  serverOf(owner: string): string | undefined;
  /** The cluster whose plane holds the authority of `trustDomain`, if it is known here. */
  signerOf(trustDomain: string): string | undefined;
  /** Where everything lies; only of a federation that `up` laid out. */
  readonly plan?: FederationPlan;
}

/** The planes of a federation on this machine. */
export function localDirectory(dataDir: string, topology: Topology): PlaneDirectory {
  const { plan, processes } = topology;
  return {
    plan,
    clusters: plan.clusters.map((cluster) => cluster.name),
    contextText: () => {
      try {
        return readFileSync(join(dataDir, "global", "admin-context.json"), "utf8");
      } catch (cause) {
        throw new AtollError("ATOLL_FEDERATION_NOT_RUNNING", `there is no admin context in ${dataDir}`, { cause });
      }
    },
    serverOf: (owner) => {
      const name = owner === "global" ? owner : planeName(owner);
      const listen = processes.find(({ spec }) => spec.name === name)?.config["listen"] as { readonly [name: string]: number | string } | undefined;
      return `${String(listen?.["address"])}:${String(listen?.[owner === "global" ? "apiPort" : "adminPort"])}`;
    },
    signerOf: (trustDomain) => plan.clusters.find((cluster) => cluster.trustDomain === trustDomain && cluster.isSigner)?.name,
  };
}

const serverSchema = z.string().max(300).regex(/^(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9.-]+):\d{1,5}$/, "host:port");
const clustersMax = 10_000;
/** Unknown fields are refused: a misspelt one would silently leave a plane out. */
const directorySchema = z.strictObject({
  /** The admin context that the global plane wrote; relative to this file. */
  admin: z.string().min(1).max(4_096),
  /** The local admin API of each cluster's plane, by cluster. */
  planes: z.record(clusterIdSchema, serverSchema).refine((planes) => Object.keys(planes).length <= clustersMax, `at most ${clustersMax} planes`),
  /** Which cluster's plane is the signer of each trust domain. */
  signers: z.record(trustDomainSchema, clusterIdSchema).default({}),
});

/**
 * Reads the file that `--context` names: the planes of a federation on many machines.
 * @throws {ATOLL_USAGE} when it cannot be read or understood, with every fault.
 */
export function readDirectory(file: string): PlaneDirectory {
  const { admin, planes, signers } = parseDirectory(file);
  const adminFile = resolve(dirname(file), admin);
  const servers = new Map<string, string>(Object.entries(planes));
  const signerNames = new Map<string, string>(Object.entries(signers));
  return {
    clusters: [...servers.keys()],
    contextText: () => readText(adminFile),
    serverOf: (owner) => servers.get(owner),
    signerOf: (trustDomain) => signerNames.get(trustDomain),
  };
}

function parseDirectory(file: string): z.infer<typeof directorySchema> {
  let input: unknown;
  try {
    input = JSON.parse(readText(file));
  } catch (cause) {
    if (cause instanceof AtollError) throw cause;
    throw new AtollError("ATOLL_USAGE", `--context ${file}: it is not JSON`, { cause });
  }
  const result = directorySchema.safeParse(input);
  if (result.success) return result.data;
  throw new AtollError("ATOLL_USAGE", `--context ${file}: ${faultsOf(result.error, input).map(formatFault).join("; ")}`);
}

function readText(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch (cause) {
    throw new AtollError("ATOLL_USAGE", `--context: ${file} cannot be read`, { cause });
  }
}
