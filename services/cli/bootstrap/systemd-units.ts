import { hardening } from "./systemd-hardening.ts";
import type { Machine, MachinePaths, MachineProcess, MachineProgram } from "./machine-layout.ts";

/** Where Debian's packages put the engines. */
export const enginePrograms = { etcd: "/usr/bin/etcd", natsServer: "/usr/sbin/nats-server" } as const;

/** The unit that runs a process: an instance of its program's template, named as its configuration. */
export function unitOf({ program, name }: Pick<MachineProcess, "program" | "name">): string {
  return program === "global" ? "atoll-global.service" : `atoll-${program}@${name}.service`;
}

/** The units that a machine needs, by file name. Pure. */
export function unitFiles({ paths, processes, engines }: Machine): ReadonlyMap<string, string> {
  const files = new Map<string, string>();
  if (engines !== undefined) {
    files.set("atoll-etcd.service", unit(paths, { description: "etcd for Atoll", start: `${enginePrograms.etcd} $ETCD_ARGS`, service: [`EnvironmentFile=${paths.config}/etcd.env`], compilesCode: false }));
    files.set("atoll-nats.service", unit(paths, { description: "nats-server for Atoll", start: `${enginePrograms.natsServer} -c ${paths.config}/nats.conf`, service: ["# Its codes of an orderly end on SIGTERM.", "SuccessExitStatus=1 143"], compilesCode: false }));
  }
  for (const program of ["global", "cluster", "proxy"] as const) {
    if (processes.some((process) => process.program === program)) files.set(program === "global" ? "atoll-global.service" : `atoll-${program}@.service`, programUnit(paths, program));
  }
  return files;
}

const engineUnits = "atoll-etcd.service atoll-nats.service";

function programUnit(paths: MachinePaths, program: MachineProgram): string {
  const node = `${paths.home}/node_modules/.bin/node`;
  const service = [`Environment=NODE_COMPILE_CACHE=${paths.cache}`];
  switch (program) {
    case "global":
      return unit(paths, { description: "Atoll global plane", after: engineUnits, start: `${node} ${paths.home}/services/global/main.ts run --config ${paths.config}/global.json`, service, compilesCode: true });
    case "cluster":
      return unit(paths, { description: "Atoll cluster plane %i", after: engineUnits, start: `${node} ${paths.home}/services/cluster/main.ts run --config ${paths.config}/%i.json`, service, compilesCode: true });
    case "proxy":
      break;
  }
  return unit(paths, { description: "Atoll proxy %i", start: `${node} --max-semi-space-size=4 ${paths.home}/proxy/main.ts --config ${paths.config}/%i.json`, service, compilesCode: true });
}

function unit(paths: MachinePaths, options: { readonly description: string; readonly after?: string; readonly start: string; readonly service?: readonly string[]; readonly compilesCode: boolean }): string {
  const after = ["network-online.target", options.after].filter((word) => word !== undefined).join(" ");
  return `[Unit]
Description=${options.description}
After=${after}
Wants=network-online.target

[Service]
User=atoll
${[...(options.service ?? []), `ExecStart=${options.start}`].join("\n")}
Restart=always
RestartSec=1
TimeoutStopSec=20
LimitNOFILE=1048576
${hardening({ writable: [paths.state, paths.cache], compilesCode: options.compilesCode }).join("\n")}

[Install]
WantedBy=multi-user.target
`;
}
