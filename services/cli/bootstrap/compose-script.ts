import { applyCommand, type ResourceFile } from "../up/resource-files.ts";
import { planeName } from "../up/planned-process.ts";
import { composeApps } from "./compose-apps.ts";
import { machineService, programService, type ComposeSource } from "./compose-file.ts";
import { shellOf } from "./compose-shell.ts";
import type { Machine, MachineLayout, MachineProcess, MachineStage } from "./machine-layout.ts";

/**
 * The script that brings the compose file up: the steps of the instructions, with containers for machines. It may be run again at any time, for
 * all or for one part. Pure.
 */
export function composeScript(source: ComposeSource, files: { readonly places: readonly ResourceFile[]; readonly services: readonly ResourceFile[] }): string {
  const { layout } = source;
  const { machines, description, placement } = layout;
  const engines = machines.flatMap((machine) => (machine.engines === undefined ? [] : [programService(machine, "etcd"), programService(machine, "nats")]));
  const global = programService({ host: { name: placement.globalHost } }, "global");
  const apps = machines.flatMap((machine) => composeApps(machine, source.layout, source.baseDir).map(({ name }) => programService(machine, name)));
  const lines = [
    ...shellOf(source),
    "deal",
    ...machines.map((machine) => `whole ${machineService(machine)} ${programsOf(machine, source).join(" ")}`),
    `start ${machines.map((machine) => machineService(machine)).join(" ")}`,
    `start ${engines.join(" ")}`,
    // Before the first plane writes: until then whoever has a certificate of the federation may.
    "secure",
    `start ${global}`,
    `context() { compose exec -T ${global} cat /var/lib/atoll/global/admin-context.json >admin-context.json; }`,
    `if wanted ${global}; then`,
    "  again context",
    ...files.places.map((file) => `  again ${applyCommand(file, `resources/${file.name}`)}`),
    "fi",
    ...stage(machines, "signers"),
    ...stage(machines, "planes"),
    ...files.services.map((file) => applied(file, global, layout)),
    ...description.relationships.flatMap(({ name, caller, callee }) => {
      const signer = description.trustDomains.find((domain) => domain.name === caller.trustDomain)?.signer ?? "";
      return [`if wanted ${planeService(layout, signer)}; then`, "  again atoll relationship declare federation.yaml", `  again atoll relationship approve ${name} --as ${caller.trustDomain} --as ${callee.trustDomain}`, "fi"];
    }),
    ...stage(machines, "proxies", apps),
    `well ${machines.flatMap((machine) => machine.processes.filter((process) => isWellByItself(process, apps)).map(({ name }) => programService(machine, name))).join(" ")}`,
    // Applications may still have to come.
    'if [ "$part" = all ]; then atoll status || true; fi',
    "",
  ];
  return lines.join("\n");
}

function programsOf(machine: Machine, { layout, baseDir }: ComposeSource): readonly string[] {
  const names = [...(machine.engines === undefined ? [] : ["etcd", "nats"]), ...machine.processes.map(({ name }) => name), ...composeApps(machine, layout, baseDir).map(({ name }) => name)];
  return names.map((name) => programService(machine, name));
}

/** A sidecar without its application says that it is not ready, and the application may still have to come. */
function isWellByItself({ name, config }: MachineProcess, apps: readonly string[]): boolean {
  return config["mode"] !== "sidecar" || apps.some((app) => app.endsWith(`.${name.replace(/-proxy$/, "-app")}`));
}

function applied(file: ResourceFile, global: string, layout: MachineLayout): string {
  const path = `resources/${file.name}`;
  if (file.target.kind === "global") return `if wanted ${global}; then again ${applyCommand(file, path)}; fi`;
  return `apply ${path} ${file.target.clusters.map((cluster) => `${cluster}:${planeService(layout, cluster)}`).join(" ")}`;
}

function planeService({ placement }: MachineLayout, cluster: string): string {
  const host = [...placement.clusterHosts].find(([name]) => name === cluster)?.[1] ?? "";
  return programService({ host: { name: host } }, planeName(cluster));
}

function stage(machines: readonly Machine[], wanted: MachineStage, besides: readonly string[] = []): readonly string[] {
  const started = machines.flatMap((machine) => machine.processes.filter((process) => process.stage === wanted).map((process) => ({ machine, process })));
  if (started.length === 0) return [];
  return [
    ...started.flatMap(({ machine, process }) => process.tokens.map(({ file, purpose, cluster }) => `again token ${machineService(machine)} ${programService(machine, process.name)} ${file} ${purpose}${cluster === undefined ? "" : ` --cluster ${cluster}`}`)),
    `join ${[...started.map(({ machine, process }) => programService(machine, process.name)), ...besides].join(" ")}`,
  ];
}
