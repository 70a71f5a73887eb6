import { readFileSync } from "node:fs";
import { join } from "node:path";
import { AtollError, isAtollError } from "#federation/runtime/errors.ts";
import { readPlaneFile } from "#federation/admin-api/plane-file.ts";
import type { FederationPlan } from "./up/federation-plan.ts";
import { planeName } from "./up/planned-process.ts";
import type { Topology } from "./up/topology.ts";

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

/** Where `up` writes what `--context` reads, for programs that know no federation of this machine by its name. */
export const planeFileName = "context.json";

/** The content of that file: the planes of `topology`, by an admin context at `admin`, relative to the file. Pure. */
export function planeFileText(topology: Topology, admin = "global/admin-context.json"): string {
  const { clusters } = topology.plan;
  const planes = Object.fromEntries(clusters.map(({ name }) => [name, serverIn(topology, name)]));
  const signers = Object.fromEntries(clusters.filter(({ isSigner }) => isSigner).map(({ trustDomain, name }) => [trustDomain, name]));
  return `${JSON.stringify({ admin, planes, signers }, null, 2)}\n`;
}

/** `host:port` of a cluster's local admin API, or of the global plane's ("global"). Pure. */
export function serverIn({ processes }: Topology, owner: string): string {
  const name = owner === "global" ? owner : planeName(owner);
  const listen = processes.find(({ spec }) => spec.name === name)?.config["listen"] as { readonly [name: string]: number | string } | undefined;
  return `${String(listen?.["address"])}:${String(listen?.[owner === "global" ? "apiPort" : "adminPort"])}`;
}

/** The planes of a federation on this machine. */
export function localDirectory(dataDir: string, topology: Topology): PlaneDirectory {
  const { plan } = topology;
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
    serverOf: (owner) => serverIn(topology, owner),
    signerOf: (trustDomain) => plan.clusters.find((cluster) => cluster.trustDomain === trustDomain && cluster.isSigner)?.name,
  };
}

/**
 * Reads the file that `--context` names: the planes of a federation on many machines.
 * @throws {ATOLL_USAGE} when it cannot be read or understood, with every fault.
 */
export function readDirectory(file: string): PlaneDirectory {
  const { adminText, planes, signers } = asUsage(() => readPlaneFile(file));
  return {
    clusters: [...planes.keys()],
    contextText: () => asUsage(adminText),
    serverOf: (owner) => planes.get(owner),
    signerOf: (trustDomain) => signers.get(trustDomain),
  };
}

/** A file that a flag names is the user's to mend. */
function asUsage<T>(read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (!isAtollError(error, "ATOLL_CONFIG_INVALID")) throw error;
    throw new AtollError("ATOLL_USAGE", `--context ${error.message}`, { cause: error });
  }
}
