import { issuingCertificate } from "./federation-keys.ts";
import { sendCommand } from "./instructions.ts";
import type { MachineLayout } from "./machine-layout.ts";

/** The name of the script beside the instructions. */
export const renewScriptName = "renew-engines.sh";

/**
 * The script that renews the certificates of engines and brings them to their machines, from where the keys are: plain sh, to be run as often as one
 * likes, by a timer for example; and the certificate that the global plane issues by. Nothing else of a machine is touched, and nothing is started or restarted. Pure.
 */
export function renewScript({ description, machines, placement }: MachineLayout): string {
  return [
    "#!/bin/sh",
    `# Renews the certificates of etcd and nats-server of the federation ${description.trustDomain}, of those that have lived for half of their`,
    "# 30 days, and has every machine take up what it does not have, and the global plane's what they were issued by (`atoll renew-issuing`).",
    "# Run it where keys/ is, every week or two; ATOLL names the program.",
    "set -eu",
    "umask 077",
    'cd "$(dirname -- "$0")"',
    "${ATOLL:-npx atoll} renew-engines federation.yaml --out .",
    "failed=",
    ...machines.flatMap(({ host, engines }) => {
      const files = [...(engines === undefined ? [] : ["tls"]), ...(host.name === placement.globalHost ? [`keys/${issuingCertificate}`] : [])];
      return files.length === 0 ? [] : [`${sendCommand(host, files.join(" "), " certificates")} || failed="$failed ${host.name}"`];
    }),
    // One that is away keeps nobody else from what is new.
    '[ -z "$failed" ] || { echo "not brought to$failed: run this again" >&2; exit 1; }',
    "",
  ].join("\n");
}
