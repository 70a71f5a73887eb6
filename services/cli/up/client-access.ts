import type { ClientPlan } from "./federation-plan.ts";

/** Directory of the clients' context files, below what `up` and `bootstrap` write. */
export const clientsFolder = "clients";

/** The part of every plane's configuration that says who its clients are; nothing where there are none. Pure. */
export function accessOf(federation: string, clients: readonly ClientPlan[]): { readonly access?: object } {
  if (clients.length === 0) return {};
  return { access: { bindings: clients.map(({ name, ...grant }) => ({ ...grant, spiffeId: `spiffe://${federation}/atoll/client/${name}` })) } };
}

/** Words of the `init` command that make a certificate for each of them, in contexts that lead to the global plane at `server`. Pure. */
export function clientArguments(clients: readonly Pick<ClientPlan, "name">[], server: string): readonly string[] {
  return clients.length === 0 ? [] : ["--server", server, ...clients.flatMap(({ name }) => ["--client", name])];
}
