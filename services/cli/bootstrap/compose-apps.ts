import { resolve } from "node:path";
import { defaultAppPort, type ServiceDescription, type ServiceInstance } from "#federation/model/federation-description.ts";
import { commandName, tcpVariable } from "../up/app-processes.ts";
import type { Machine, MachineLayout } from "./machine-layout.ts";

/** An application that the file has a command for, on its machine. */
export interface ComposeApp {
  /** Also what its container is called after, behind its machine's name. */
  readonly name: string;
  /** On this machine. */
  readonly directory: string;
  readonly words: readonly string[];
  /** What it is told, as `atoll up` tells it. */
  readonly variables: Readonly<Record<string, string>>;
}

/** The applications of one machine; those without a command are their user's to start. Directories are relative to `baseDir`. Pure. */
export function composeApps(machine: Machine, layout: MachineLayout, baseDir: string): readonly ComposeApp[] {
  return layout.description.services.flatMap((service) => service.instances.filter(({ host }) => host === machine.host.name).flatMap((instance) => appOf(service, instance, machine, baseDir)));
}

function appOf({ command, tcpUpstreams }: ServiceDescription, { name, cluster, appPort = defaultAppPort }: ServiceInstance, { host, processes }: Machine, baseDir: string): readonly ComposeApp[] {
  if (command === undefined) return [];
  const sidecar = processes.find((process) => process.name === `${name}-proxy`);
  if (sidecar === undefined) throw new Error(`nothing is known of the sidecar of ${name}: the description was not checked`);
  const { outbound } = sidecar.config["ports"] as { readonly outbound: number };
  return [
    {
      name: commandName(name),
      directory: resolve(baseDir, command.directory),
      words: command.words.map((word) => word.replaceAll("{port}", String(appPort))),
      variables: {
        PORT: String(appPort),
        ATOLL_OUTBOUND: `http://127.0.0.1:${outbound}`,
        ...Object.fromEntries(tcpUpstreams.map(({ service, servicePort, localPort = servicePort }) => [tcpVariable({ namespace: service.namespace, service: service.name }), `127.0.0.1:${localPort}`])),
        ATOLL_REGION: host.region,
        ATOLL_CLUSTER: cluster,
        ...command.env,
      },
    },
  ];
}
