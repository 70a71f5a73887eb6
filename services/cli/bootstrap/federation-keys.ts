import { createHash, X509Certificate } from "node:crypto";
import { copyFileSync, chmodSync, existsSync, mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { AtollError } from "#federation/runtime/errors.ts";
import type { CommandContext } from "../context.ts";
import { engineTlsFiles } from "../engines/etcd-args.ts";
import { clientArguments } from "../up/client-access.ts";
import { planesOf } from "../up/engine-certificates.ts";
import { runInit } from "../up/run-init.ts";
import { hostPort, type MachineLayout } from "./machine-layout.ts";

/** What certifies the key that the global plane issues by; no secret, and new from time to time (`atoll renew-issuing`). */
export const issuingCertificate = "federation-issuing.pem";
/** What the global plane runs with: all but the root's key, which is for taking offline. */
const globalKeys = ["federation.json", "federation-root.pem", "federation-authority.pem", "federation-authority.key", issuingCertificate, "federation-issuing.key"] as const;

/** Whether `keysDir` holds a federation's keys. */
export function hasKeys(keysDir: string): boolean {
  return existsSync(join(keysDir, "federation.json"));
}

/** What pins the federation's root, as bootstrap files take it; nothing while there is none. */
export function rootOf(keysDir: string): { readonly rootSha256?: string } {
  const path = join(keysDir, "federation-root.pem");
  return existsSync(path) ? { rootSha256: createHash("sha256").update(new X509Certificate(readFileSync(path)).raw).digest("hex") } : {};
}

/**
 * Makes the federation's keys in `keysDir` (0600) unless they are there, and new certificates for its engines, by the keys that they have, and clients.
 * @throws {ATOLL_USAGE} when the keys are those of another federation; {ATOLL_PROCESS_FAILED}
 */
export async function makeKeys(context: CommandContext, keysDir: string, layout: MachineLayout): Promise<void> {
  const { description, placement } = layout;
  const isNew = !hasKeys(keysDir);
  if (!isNew) {
    const { federation } = JSON.parse(readFileSync(join(keysDir, "federation.json"), "utf8")) as { readonly federation?: unknown };
    if (federation !== description.trustDomain) throw new AtollError("ATOLL_USAGE", `${keysDir} holds the keys of ${String(federation)}, not of ${description.trustDomain}; choose another --out`);
  }
  const words = [...(isNew ? ["--federation", description.trustDomain] : []), ...engineWords(layout).flatMap((engine) => ["--engine", engine])];
  if (placement.engines.length > 0) words.push("--etcd-administrator", planesOf(description).join(","));
  await runInit(context, keysDir, [...words, ...clientArguments(description.clients, globalServer(layout))], context.signal);
}

/** Words of `init` for the engines of every machine, each with the names and addresses that it answers on. Pure. */
export function engineWords({ placement }: MachineLayout): readonly string[] {
  return placement.engines.flatMap(({ region, host: name }) => {
    const host = placement.hosts.find((candidate) => candidate.name === name);
    return host === undefined ? [] : [`${region}/${name}:${[...new Set([host.address, host.listen])].join(",")}`];
  });
}

/** `host:port` of the global plane's admin API. */
function globalServer({ machines, placement }: MachineLayout): string {
  const { host, processes } = machines.find((machine) => machine.host.name === placement.globalHost) ?? {};
  const listen = processes?.find(({ program }) => program === "global")?.config["listen"] as { readonly apiPort: number } | undefined;
  if (host === undefined || listen === undefined) throw new Error("the layout has no global plane");
  return hostPort(host.address, listen.apiPort);
}

/** Puts into each machine's folder below `hostsDir` the keys that it needs, and no others. */
export function dealKeys(keysDir: string, hostsDir: string, layout: MachineLayout): void {
  const { globalHost } = layout.placement;
  for (const name of globalKeys) copySecret(join(keysDir, name), join(hostsDir, globalHost, "keys"), name);
  dealEngineKeys(keysDir, hostsDir, layout);
}

/** The same of the certificate alone that the global plane issues by. */
export function dealIssuing(keysDir: string, hostsDir: string, { placement }: MachineLayout): void {
  copySecret(join(keysDir, issuingCertificate), join(hostsDir, placement.globalHost, "keys"), issuingCertificate);
}

/** The same of those of its engines alone. */
export function dealEngineKeys(keysDir: string, hostsDir: string, { machines }: MachineLayout): void {
  for (const { host, engines } of machines) {
    if (engines === undefined) continue;
    const { certificate, privateKey, ca } = engineTlsFiles(keysDir, host.name);
    for (const [source, name] of [[certificate, "engine.pem"], [privateKey, "engine.key"], [ca, "ca.pem"]] as const) copySecret(source, join(hostsDir, host.name, "tls"), name);
  }
}

function copySecret(source: string, directory: string, name: string): void {
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  const target = join(directory, name);
  copyFileSync(source, target);
  chmodSync(target, 0o600);
}
