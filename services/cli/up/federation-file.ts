import { existsSync, mkdirSync, readFileSync, renameSync, statSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { AtollError } from "#federation/runtime/errors.ts";
import { writePrivateFileSync } from "#federation/runtime/private-file.ts";
import { z } from "zod";
import { bundleEndpointSchema } from "#federation/model/parse/federation-schema.ts";
import { trafficPolicySpecSchema } from "#federation/model/parse/policy-schemas.ts";
import type { FederationPlan } from "./federation-plan.ts";
import type { EngineSetup } from "./engine-plan.ts";

/** What `up` remembers of a federation, in `federation.json` of its data directory. */
export interface FederationFile {
  readonly name: string;
  /** The user's file that describes it; absent for the demonstration. */
  readonly source?: string;
  readonly portBase: number;
  readonly portCount: number;
  /** Every port by its name, so that an edit moves nobody else. */
  readonly ports: Readonly<Record<string, number>>;
  /** Real engines, their programs and how many there are; absent: SQLite files and the embedded hub. */
  readonly engines?: EngineSetup;
  /** Everything has been up once: planes have joined, resources are applied. */
  readonly isBootstrapped: boolean;
  readonly plan: FederationPlan;
}

const names = z.array(z.string());
const appSchema = z.discriminatedUnion("kind", [
  z.strictObject({ kind: z.literal("demo"), role: z.enum(["storefront", "catalog", "payments"]), workMs: z.number() }),
  z.strictObject({ kind: z.literal("command"), words: names, directory: z.string(), env: z.record(z.string(), z.string()) }),
  z.strictObject({ kind: z.literal("own") }),
]);
const fileSchema: z.ZodType<FederationFile> = z.strictObject({
  name: z.string(),
  source: z.exactOptional(z.string()),
  portBase: z.int().min(1).max(65_535),
  portCount: z.int().min(1).max(65_535),
  ports: z.record(z.string(), z.int().min(1).max(65_535)),
  engines: z.exactOptional(z.strictObject({ etcd: z.string(), natsServer: z.string(), members: z.exactOptional(z.int().min(1).max(7)), hasStorePerPlane: z.exactOptional(z.boolean()), certificateSeconds: z.exactOptional(z.int().min(1)) })),
  isBootstrapped: z.boolean(),
  plan: z.strictObject({
    federation: z.string(),
    regions: z.array(
      z.strictObject({
        name: z.string(),
        displayName: z.exactOptional(z.string()),
        coordinates: z.exactOptional(z.strictObject({ latitude: z.number(), longitude: z.number() })),
        residency: z.exactOptional(names),
      }),
    ),
    clusters: z.array(z.strictObject({ name: z.string(), region: z.string(), trustDomain: z.string(), isSigner: z.boolean(), exportNamespaces: names, svidSeconds: z.exactOptional(z.int().min(1)), bundleEndpoint: z.exactOptional(bundleEndpointSchema) })),
    distances: z.array(z.strictObject({ between: z.tuple([z.string(), z.string()]), oneWayMs: z.number() })),
    workloads: z.array(
      z.strictObject({
        namespace: z.string(),
        service: z.string(),
        trustDomain: z.string(),
        protocol: z.exactOptional(z.enum(["http", "tcp"])),
        port: z.number(),
        instances: z.exactOptional(z.array(z.strictObject({ name: z.string(), cluster: z.string(), appPort: z.exactOptional(z.number()) }))),
        app: appSchema,
        readinessPath: z.exactOptional(z.string()),
        isExported: z.boolean(),
        consumers: names,
        upstreams: z.exactOptional(names),
        tcpUpstreams: z.exactOptional(z.array(z.strictObject({ namespace: z.string(), service: z.string(), trustDomain: z.string(), port: z.number(), localPort: z.exactOptional(z.number()) }))),
        hasWorkloadApi: z.exactOptional(z.literal(true)),
      }),
    ),
    users: z.array(
      z.strictObject({
        region: z.string(),
        cluster: z.string(),
        ratePerSecond: z.number(),
        target: z.exactOptional(z.strictObject({ namespace: z.string(), host: z.string(), path: z.string() })),
      }),
    ),
    relationships: z.array(
      z.strictObject({
        name: z.string(),
        caller: z.strictObject({ trustDomain: z.string(), principals: names }),
        callee: z.strictObject({ trustDomain: z.string(), services: names }),
        validDays: z.number(),
      }),
    ),
    policies: z.array(z.strictObject({ namespace: z.string(), name: z.string(), spec: trafficPolicySpecSchema })),
    clients: z.exactOptional(z.array(z.strictObject({ name: z.string(), role: z.enum(["viewer", "operator", "administrator"]), trustDomains: z.exactOptional(names), namespaces: z.exactOptional(names) }))),
    backups: z.exactOptional(z.strictObject({ recipients: names, everySeconds: z.exactOptional(z.number()), keep: z.exactOptional(z.number()) })),
  }),
});

function pathOf(dataDir: string): string {
  return join(dataDir, "federation.json");
}

/** Undefined when there is no federation in `dataDir`. @throws {ATOLL_CONFIG_INVALID} when the file is damaged or of another version. */
export function readFederationFile(dataDir: string): FederationFile | undefined {
  const path = pathOf(dataDir);
  if (!existsSync(path)) return undefined;
  try {
    return fileSchema.parse(JSON.parse(readFileSync(path, "utf8")));
  } catch (cause) {
    throw new AtollError("ATOLL_CONFIG_INVALID", `${path} cannot be understood; it is damaged or of another version. Choose another --name, or move ${dataDir} aside`, { cause });
  }
}

/** On the disk when it returns: without it nobody could bring the federation up again. */
export function writeFederationFile(dataDir: string, file: FederationFile): void {
  writePrivateFileSync(pathOf(dataDir), `${JSON.stringify(file, null, 2)}\n`);
}

/** @throws {ATOLL_FEDERATION_NOT_RUNNING} when there is no federation in `dataDir`. */
export function requireFederationFile(dataDir: string): FederationFile {
  const file = readFederationFile(dataDir);
  if (file === undefined) throw new AtollError("ATOLL_FEDERATION_NOT_RUNNING", `there is no federation in ${dataDir}`);
  return file;
}

/**
 * Writes whole or not at all, readable by the owner only; what each start writes anew need not outlast the machine's power. What is there already
 * is left: a full disk does not stand in the way of starting what it holds.
 */
export function writeSecretFile(path: string, text: string): void {
  if (holds(path, text)) return;
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  writeFileSync(`${path}.new`, text, { mode: 0o600 });
  renameSync(`${path}.new`, path);
}

function holds(path: string, text: string): boolean {
  try {
    return readFileSync(path, "utf8") === text && (statSync(path).mode & 0o777) === 0o600;
  } catch {
    return false;
  }
}
