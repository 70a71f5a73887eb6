import type { Etcd3 } from "etcd3";
import type { Clock } from "#federation/runtime/clock.ts";
import { describeError } from "#federation/runtime/errors.ts";
import { openAsAdministrator } from "./etcd-administrator.ts";
import type { EngineTlsFiles } from "./etcd-args.ts";
import { etcdUser, type EtcdTenants } from "./etcd-users.ts";

/** What an etcd says of itself to its administrator. */
export interface EtcdState {
  readonly tenants: EtcdTenants;
  /** It judges requests by their users. */
  readonly isJudging: boolean;
  readonly users: readonly string[];
  /** "Nospace" or "Corrupt", as etcd's client spells them. */
  readonly alarms: readonly string[];
}

/** Status answers within about two seconds, whoever does not. */
const callTimeoutMs = 1_500;

/** Asks each etcd; one that does not answer is left out, since its planes say that their store is away. */
export async function readEtcdStates(all: readonly EtcdTenants[], tls: EngineTlsFiles, clock: Clock): Promise<readonly EtcdState[]> {
  const answers = await Promise.allSettled(all.map((tenants) => readState(tenants, tls, clock)));
  return answers.flatMap((answer) => (answer.status === "fulfilled" ? [answer.value] : []));
}

async function readState(tenants: EtcdTenants, tls: EngineTlsFiles, clock: Clock): Promise<EtcdState> {
  const client = await openAsAdministrator({ endpoints: tenants.endpoints, tls, clock, callTimeoutMs });
  try {
    const [isJudging, { users }, { alarms }] = await Promise.all([judges(client), client.auth.userList(), client.maintenance.alarm({ action: "Get" })]);
    return { tenants, isJudging, users, alarms: alarms.map(({ alarm }) => alarm) };
  } finally {
    client.close();
  }
}

/** Asked by a wrong password, since etcd 3.4 has no better question: where nobody is judged, that is what it says. */
async function judges({ auth }: Etcd3): Promise<boolean> {
  const refusal = await auth.authenticate({ name: "root", password: "" }).then(() => "", describeError);
  if (/not enabled/.test(refusal)) return false;
  if (/authentication failed/.test(refusal)) return true;
  throw new Error(`etcd answered a wrong password with: ${refusal}`);
}

/** What is not as it should be, and what to do about it, a sentence for each. Pure. */
export function etcdProblems(states: readonly EtcdState[]): readonly string[] {
  return states.flatMap(({ tenants, isJudging, users, alarms }) => {
    const where = `etcd of ${tenants.planes.join(", ")} at ${tenants.endpoints.join(", ")}`;
    const strangers = tenants.planes.filter((plane) => !users.includes(etcdUser(plane).name));
    return [
      ...(alarms.includes("Nospace") ? [`${where} is full and refuses writes: compact and defragment it, or give it more by --quota-backend-bytes, then disarm the alarm (\`etcdctl alarm disarm\`)`] : []),
      ...(alarms.includes("Corrupt") ? [`a member of ${where} found that its data differ from the others': take it out and add it anew with an empty directory`] : []),
      // One that was emptied knows no users; one plane's own lets nobody else in at the handshake.
      ...(isJudging || tenants.planes.length === 1 ? [] : [`${where} lets every certificate of the federation do everything in it: \`atoll down\` and \`atoll up\` tell it its planes`]),
      ...(isJudging && strangers.length > 0 ? [`${where} does not know ${strangers.join(", ")}, and refuses their planes: \`atoll down\` and \`atoll up\` tell it`] : []),
    ];
  });
}
