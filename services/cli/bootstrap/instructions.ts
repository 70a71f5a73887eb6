import type { EnginePlace, HostDescription } from "#federation/model/federation-description.ts";
import { applyCommand, type ResourceFile } from "../up/resource-files.ts";
import { issuingCertificate } from "./federation-keys.ts";
import { hostPort, type Machine, type MachineLayout, type MachineStage } from "./machine-layout.ts";
import { unitOf } from "./systemd-units.ts";

/** The README of everything that was written: the steps in their order. Pure. */
export function instructions(layout: MachineLayout, files: { readonly places: readonly ResourceFile[]; readonly services: readonly ResourceFile[]; readonly hasKeys: boolean }): string {
  const { description, placement, machines } = layout;
  const atoll = "npx atoll --context context.json";
  const global = machines.find(({ host }) => host.name === placement.globalHost);
  const globalState = `${global?.paths.state ?? ""}/global`;
  const sections: string[] = [];
  let number = 0;
  const step = (title: string, ...text: readonly string[]): void => void sections.push(`## ${++number}. ${title}`, ...text);
  const apply = (list: readonly ResourceFile[]): string => shell(list.map((file) => applyCommand(file, `resources/${file.name}`, atoll)));

  step(
    "Copy and install",
    files.hasKeys
      ? "`keys/` holds the federation's keys. Take `keys/federation-root.key` offline; running needs it never, and a renewal once a year does."
      : "There are no keys here yet: run `npx atoll bootstrap federation.yaml --out . --init` first. It makes them in `keys/`, and certificates for the engines.",
    `On every machine: Atoll in \`${global?.paths.home ?? "/opt/atoll"}\` (clone, \`npm ci\`)${placement.engines.length === 0 ? "" : ", and where engines stand a current etcd and nats-server 2.12.6 or newer"}. Then copy each machine's folder and run its script. It starts the engines${placement.engines.length === 0 ? "" : " first, then the global plane"}, and says of the rest which token it waits for.`,
    ...sourceFiles(machines),
    ...webCertificates(machines),
    shell(["umask 077", ...machines.map(({ host }) => sendCommand(host, "."))]),
  );
  if (placement.engines.length > 0) {
    step(
      "Tell planes apart in etcd",
      "Until now every certificate of the federation may read and write all of an etcd; from now on a plane its own part alone. The certificate of etcd's administrator stays in `keys/`. Do this again after a cluster was added: its plane is let in by it.",
      shell(["npx atoll secure-engines federation.yaml --keys keys"]),
    );
  }
  step(
    "Reach the global plane",
    "Treat the file that this fetches as the key that it holds. `context.json` says where each plane's admin port is.",
    shell([`scp root@${global?.host.address ?? ""}:${globalState}/admin-context.json admin-context.json`, apply(files.places).replace(/^```sh\n|\n```$/g, "")]),
  );
  if (description.clients.length > 0) {
    step(
      "Let the clients in",
      `Each has a certificate of 30 days, which step 1's \`--init\` makes anew. What a client needs is its context and, beside that by the same path as here, its key: ${description.clients.map(({ name }) => `\`clients/${name}.json\` with \`keys/clients/${name}.json\``).join(", ")}. Nobody else may read the latter.`,
    );
  }
  stageStep(step, layout, "signers", "Signers", "The first plane of each trust domain makes its root and authority when it starts.", atoll);
  stageStep(step, layout, "planes", "The other clusters' planes", "Each enrols with the signer of its trust domain.", atoll);
  if (files.services.length > 0) step("What is served, and who may see it", apply(files.services));
  if (description.relationships.length > 0) {
    step(
      "Trust between trust domains",
      "`declare` pins the authorities that the signers have made; a relationship is void until both sides have approved it.",
      shell([
        `${atoll} relationship declare federation.yaml`,
        ...description.relationships.map(({ name, caller, callee }) => `${atoll} relationship approve ${name} --as ${caller.trustDomain} --as ${callee.trustDomain}`),
      ]),
    );
  }
  stageStep(step, layout, "proxies", "Gateways and sidecars", "An application answers on its port at 127.0.0.1, and calls others through its sidecar's outbound port with their name as `Host`.", atoll);
  step("See", shell([`${atoll} status`, `${atoll} proxy status`]), ...portLines(machines));
  if (placement.engines.length > 0) {
    step(
      "Keep the engines' certificates good",
      "They live 30 days, and nothing on the machines can renew them: the federation's keys are here. This makes another for each that has lived for half of that, by the key that it has, and has the machines take it up, etcd by itself and nats-server by a signal; nothing is restarted. Run it every week or two (cron, a systemd timer): `npx atoll --context context.json check` names an engine seven days before its certificate ends.",
      shell(["sh renew-engines.sh"]),
    );
  }
  step(
    "Once a year",
    `Planes, engines and clients are issued their certificates by one that lives a year (\`keys/${issuingCertificate}\`), and nothing outlives it. Another takes the root's key: where that is not in \`keys/\`, name it with \`--root-key FILE\`. This does something once half of the year is over, and may be run at any time; \`npx atoll --context context.json check\` names the certificate 30 days before its end. The second line brings it to ${placement.globalHost}, where the global plane takes it up by itself. What was issued before stays good for as long as it was.`,
    shell(["npx atoll renew-issuing", "sh renew-engines.sh"]),
  );
  step(
    "Later",
    `After an edit of \`federation.yaml\`: \`npx atoll bootstrap federation.yaml --out . --init\` writes everything anew (keys stay${placement.engines.length === 0 ? "" : "; engines get new certificates"}), step 1 brings it to the machines, and the steps after it repeat what is new. \`install.sh\` says which configuration changed and restarts nothing.`,
  );
  return `# The federation ${description.trustDomain} on ${machines.length} machines

Written by \`atoll bootstrap\` from \`federation.yaml\`, which lies beside this file. Run the commands here, where \`atoll\` is installed. Tokens work once, for ten minutes at most: make those of a step when you do it.

${sections.join("\n\n")}
`;
}

function stageStep(step: (title: string, ...text: readonly string[]) => void, { machines }: MachineLayout, stage: MachineStage, title: string, about: string, atoll: string): void {
  const concerned = machines.filter(({ processes }) => processes.some((process) => process.stage === stage));
  if (concerned.length === 0) return;
  const needsToken = ({ processes }: Machine): boolean => processes.some((process) => process.stage === stage && process.tokens.length > 0);
  const commands = concerned.filter(needsToken).flatMap(({ host, processes }) => [
    `mkdir -p hosts/${host.name}/tokens`,
    ...processes
      .filter((process) => process.stage === stage)
      .flatMap(({ tokens }) => tokens.map(({ file, purpose, cluster }) => `${atoll} token create ${purpose}${cluster === undefined ? "" : ` --cluster ${cluster}`} > hosts/${host.name}/tokens/${file}`)),
    `${sendCommand(host, "tokens")} && rm -r hosts/${host.name}/tokens`,
  ]);
  const units = concerned.flatMap(({ host, processes }) => processes.filter((process) => process.stage === stage).map((process) => `\`${unitOf(process)}\` on ${host.name}`));
  const byThemselves = concerned.filter(({ host }) => host.join !== undefined).map(({ host }) => host.name);
  const attested = byThemselves.length === 0 ? [] : [`What stands on ${byThemselves.join(", ")} was started by step 1 and goes on trying: it joins by what its cloud signs, as soon as the steps before this one are done.`];
  step(title, `${about} This starts ${units.join(", ")}.`, ...attested, ...(commands.length === 0 ? [] : [shell(commands)]));
}

/** Which files of clouds have to lie where, so that planes can verify what machines show. */
function sourceFiles(machines: readonly Machine[]): readonly string[] {
  const files = machines.flatMap(({ host, processes }) =>
    processes.flatMap(({ config }) => {
      const { sources = {} } = (config["attestation"] ?? {}) as { readonly sources?: Readonly<Record<string, { readonly keysFile?: string; readonly certificatesFile?: string }>> };
      return Object.values(sources).map(({ keysFile, certificatesFile }) => `\`${keysFile ?? certificatesFile ?? ""}\` on ${host.name}`);
    }),
  );
  return files.length === 0 ? [] : [`Planes verify what clouds sign by keys and certificates in files that you put there, readable for the user atoll (docs/joining.md says where they come from): ${[...new Set(files)].join(", ")}.`];
}

/** Which web certificates have to lie where, for planes to serve their bundles by. */
function webCertificates(machines: readonly Machine[]): readonly string[] {
  const files = machines.flatMap(({ host, processes }) =>
    processes.flatMap(({ config }) => {
      const { certificateFile, keyFile } = (config["bundleEndpoint"] ?? {}) as { readonly certificateFile?: string; readonly keyFile?: string };
      return certificateFile === undefined ? [] : [`\`${certificateFile}\` and \`${String(keyFile)}\` on ${host.name}`];
    }),
  );
  return files.length === 0 ? [] : [`Planes serve their bundles by web certificates that you put there and renew, the key for the user atoll alone (docs/bundle-endpoint.md): ${[...new Set(files)].join(", ")}.`];
}

/** Brings what lies in a machine's folder there, and has its script take it in; `more` are the script's arguments. Pure. */
export function sendCommand({ name, address }: HostDescription, what: string, more = ""): string {
  const folder = `atoll-${name}`;
  return `tar -C hosts/${name} -cf - ${what} | ssh root@${address} 'mkdir -p -m 0700 ${folder} && tar -C ${folder} -xf - && sh ${folder}/install.sh${more}'`;
}

function portLines(machines: readonly Machine[]): readonly string[] {
  const rows = machines.flatMap(({ host, processes, engines }) => [
    ...(engines === undefined ? [] : [`| ${host.name} | etcd, nats-server | ${hostPort(host.address, engines.etcdPort)}, ${hostPort(host.address, engines.natsPort)}, ${isOneOfMany(machines, engines) ? `${engines.etcdPeerPort} between members of etcd, ${engines.natsRoutePort} between nats-servers here, ` : ""}${engines.natsGatewayPort} between regions |`]),
    ...processes.map(({ name, config }) => `| ${host.name} | ${name} | ${portsOf(config).map(([port, value]) => `${value} ${port}`).join(", ")} |`),
  ]);
  return [["| host | process | ports |", "|---|---|---|", ...rows].join("\n")];
}

function isOneOfMany(machines: readonly Machine[], { region }: EnginePlace): boolean {
  return machines.filter(({ engines }) => engines?.region === region).length > 1;
}

function portsOf(config: Readonly<Record<string, unknown>>): readonly (readonly [string, number])[] {
  const found = (config["listen"] ?? config["ports"] ?? {}) as Readonly<Record<string, unknown>>;
  const { port: bundle } = (config["bundleEndpoint"] ?? {}) as { readonly port?: number };
  return Object.entries({ ...found, ...(bundle === undefined ? {} : { bundle }) }).flatMap(([name, value]) => (typeof value === "number" ? [[name.replace(/Port$/, ""), value] as const] : []));
}

function shell(lines: readonly string[]): string {
  return `\`\`\`sh\n${lines.join("\n")}\n\`\`\``;
}
