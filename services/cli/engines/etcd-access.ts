import type { AuthClient, Etcd3 } from "etcd3";
import { etcdAdministrator } from "#federation/model/engine-identity.ts";
import { deadlineSignal, sleep, type Clock } from "#federation/runtime/clock.ts";
import { AtollError, describeError } from "#federation/runtime/errors.ts";
import { openAsAdministrator } from "./etcd-administrator.ts";
import type { EngineTlsFiles } from "./etcd-args.ts";
import { etcdUser, etcdUserPrefix, type EtcdTenants, type EtcdUser } from "./etcd-users.ts";

/** How an etcd is told who may do what in it. */
export interface EtcdAccessOptions {
  readonly tenants: EtcdTenants;
  /** The administrator's certificate, from `init --etcd-administrator`. */
  readonly tls: EngineTlsFiles;
  readonly clock: Clock;
  /** 30 s unless told: members that were just started have no leader yet. */
  readonly withinMs?: number;
}

/** etcd wants a user and a role of this name before it lets anybody be judged; no certificate bears it. */
const root = "root";
const retryMs = 250;
const callTimeoutMs = 5_000;

/**
 * Makes users and roles of one etcd what its tenants are, each with its own prefix and nothing else, takes away those of planes that are no
 * longer there, and has etcd judge every request by them from then on. Repeatable, on an etcd that runs and on data from before alike: users
 * are complete before the first request is judged, so that none is refused for want of its user. Answers the versions of the members that say theirs.
 * @throws {ATOLL_ENGINE_UNAVAILABLE} when it cannot be done in time, with what etcd said
 */
export async function secureEtcd(options: EtcdAccessOptions, signal: AbortSignal): Promise<readonly string[]> {
  const { tenants, tls, clock, withinMs = 30_000 } = options;
  const open = (...endpoints: readonly string[]): Promise<Etcd3> => openAsAdministrator({ endpoints, tls, clock, callTimeoutMs });
  using deadline = deadlineSignal(clock, withinMs, signal);
  for (;;) {
    const client = await open(...tenants.endpoints);
    try {
      await bringAccess(client.auth, tenants.planes.map(etcdUser));
      return await versionsOf(await Promise.all(tenants.endpoints.map((endpoint) => open(endpoint))));
    } catch (error) {
      // Users that exist by now are no failure the next time: what is there is read anew.
      await sleep(clock, retryMs, deadline.signal).catch(() => {
        if (signal.aborted) throw error;
        throw new AtollError("ATOLL_ENGINE_UNAVAILABLE", `etcd at ${tenants.endpoints.join(", ")} was not told which planes may use it: ${describeError(error)}`, { cause: error });
      });
    } finally {
      client.close();
    }
  }
}

/** Closes each. One that does not answer is away, which one of three may be. */
async function versionsOf(members: readonly Etcd3[]): Promise<readonly string[]> {
  const answers = await Promise.allSettled(members.map((member) => member.maintenance.status()));
  for (const member of members) member.close();
  return [...new Set(answers.flatMap((answer) => (answer.status === "fulfilled" ? [answer.value.version] : [])))];
}

async function bringAccess(auth: AuthClient, users: readonly EtcdUser[]): Promise<void> {
  const known = { users: new Set((await auth.userList()).users), roles: new Set((await auth.roleList()).roles) };
  const wanted = new Set(users.map(({ name }) => name));
  for (const user of users) {
    await bringRole(auth, user, known.roles);
    await bringUser(auth, user.name, user.name, known.users);
  }
  for (const name of known.users) if (name.startsWith(etcdUserPrefix) && !wanted.has(name)) await auth.userDelete({ name });
  for (const role of known.roles) if (role.startsWith(etcdUserPrefix) && !wanted.has(role)) await auth.roleDelete({ role });
  if (!known.roles.has(root)) await auth.roleAdd({ name: root });
  for (const name of [root, etcdAdministrator]) await bringUser(auth, name, root, known.users);
  await auth.authEnable();
}

/** The role has its range and no other. */
async function bringRole(auth: AuthClient, { name, key, rangeEnd }: EtcdUser, known: ReadonlySet<string>): Promise<void> {
  if (!known.has(name)) await auth.roleAdd({ name });
  const { perm } = await auth.roleGet({ role: name });
  const isOwn = (held: (typeof perm)[number]): boolean => held.key.equals(key) && held.range_end.equals(rangeEnd);
  for (const held of perm) if (!isOwn(held)) await auth.roleRevokePermission({ role: name, key: held.key, range_end: held.range_end });
  if (!perm.some((held) => isOwn(held) && held.permType === "Readwrite")) await auth.roleGrantPermission({ name, perm: { permType: "Readwrite", key, range_end: rangeEnd } });
}

/** The user has this role and no other, and nobody becomes it by a password. */
async function bringUser(auth: AuthClient, name: string, role: string, known: ReadonlySet<string>): Promise<void> {
  if (!known.has(name)) await auth.userAdd({ name, options: { no_password: true } });
  const { roles } = await auth.userGet({ name });
  for (const held of roles) if (held !== role) await auth.userRevokeRole({ name, role: held });
  if (!roles.includes(role)) await auth.userGrantRole({ user: name, role });
}
