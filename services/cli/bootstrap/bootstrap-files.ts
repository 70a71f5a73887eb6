import type { FederationDescription } from "#federation/model/federation-description.ts";
import { clientsFolder } from "../up/client-access.ts";
import { AtollError } from "#federation/runtime/errors.ts";
import { planOf } from "../up/described-plan.ts";
import { applyCommand, placeFiles, resourceText, serviceFiles } from "../up/resource-files.ts";
import { withAttestedJoins } from "./attested-joins.ts";
import { composeText } from "./compose-file.ts";
import { composeScript } from "./compose-script.ts";
import { engineFiles } from "./engine-files.ts";
import { installScript } from "./install-script.ts";
import { instructions } from "./instructions.ts";
import { hostPort, layOutMachines, type MachineLayout } from "./machine-layout.ts";
import { renewScript, renewScriptName } from "./renew-script.ts";
import { unitFiles } from "./systemd-units.ts";

/** A file that `atoll bootstrap` writes; nothing in it is secret. */
export interface BootstrapFile {
  readonly text: string;
  readonly isProgram: boolean;
}

export interface BootstrapOptions {
  /** Where Atoll is installed on the machines. */
  readonly home: string;
  /** The federation's keys are there. */
  readonly hasKeys: boolean;
  /** SHA-256 of its root certificate, lower-case hex, where that is there. */
  readonly rootSha256?: string;
  /** The file itself, to be kept beside what was made of it. */
  readonly source: string;
  /** A compose file too, that runs all machines as containers of one engine; directories of applications are relative to this one. */
  readonly compose?: { readonly baseDir: string };
}

/**
 * Everything that many machines need but keys, by path below the directory that it is written to. Pure.
 * @throws {ATOLL_USAGE} when the description names no hosts or cannot be laid out on them, or in containers.
 */
export function bootstrapFiles(description: FederationDescription, options: BootstrapOptions): ReadonlyMap<string, BootstrapFile> {
  const layout = withAttestedJoins(layOutMachines(description, options.home), options.rootSha256);
  const plan = planOf(description, "/");
  const places = placeFiles(plan, layout.addresses);
  const services = serviceFiles(plan);
  const files = new Map<string, BootstrapFile>();
  const add = (path: string, text: string, isProgram = false): void => void files.set(path, { text, isProgram });
  add("federation.yaml", options.source);
  add("README.md", instructions(layout, { places, services, hasKeys: options.hasKeys }));
  add("context.json", contextText(layout, "admin-context.json"));
  for (const { name } of description.clients) add(`${clientsFolder}/${name}.json`, contextText(layout, `../keys/clients/${name}.json`));
  for (const file of [...places, ...services]) add(`resources/${file.name}`, resourceText(file, `Applied by: ${applyCommand(file, `resources/${file.name}`, "atoll --context context.json")}`));
  if (options.compose !== undefined) {
    const attested = layout.machines.find(({ host }) => host.join !== undefined);
    if (attested !== undefined) throw new AtollError("ATOLL_USAGE", `containers of one engine have no cloud that would vouch for them, and host ${attested.host.name} joins by one: leave --compose out, or its join`);
    const source = { layout, plan, baseDir: options.compose.baseDir };
    add("compose.yaml", composeText(source));
    add("compose.sh", composeScript(source, { places, services }), true);
  }
  if (layout.placement.engines.length > 0) add(renewScriptName, renewScript(layout), true);
  for (const machine of layout.machines) {
    const folder = `hosts/${machine.host.name}`;
    add(`${folder}/install.sh`, installScript(machine, layout), true);
    for (const { name, config } of machine.processes) add(`${folder}/config/${name}.json`, `${JSON.stringify(config, null, 2)}\n`);
    for (const [name, text] of engineFiles(machine, layout, plan)) add(`${folder}/config/${name}`, text);
    for (const [name, text] of unitFiles(machine)) add(`${folder}/systemd/${name}`, text);
  }
  return files;
}

/** What `atoll --context` reads: where the admin port of each plane is, and where, relative to it, who calls. */
function contextText({ description, machines }: MachineLayout, admin: string): string {
  const planes = description.clusters.map(({ name }) => {
    const found = machines.flatMap(({ host, processes }) => processes.filter(({ config }) => config["cluster"] === name).map(({ config }) => hostPort(host.address, (config["listen"] as { readonly adminPort: number }).adminPort)));
    return [name, found[0] ?? ""] as const;
  });
  const signers = description.trustDomains.map(({ name, signer }) => [name, signer] as const);
  return `${JSON.stringify({ admin, planes: Object.fromEntries(planes), signers: Object.fromEntries(signers) }, null, 2)}\n`;
}
