import type { Issuer } from "#federation/identity/authority.ts";
import type { ClosedRole, KeyRole } from "#federation/model/closed-role.ts";
import { AtollError } from "#federation/runtime/errors.ts";
import type { Watched } from "#federation/runtime/watched.ts";
import type { ObjectSigner } from "#federation/wire/signed-object.ts";
import type { ClusterKeys } from "./cluster-keys.ts";

/** What whoever asks for a role that is closed is answered. */
export function closedRoleError({ role, reason }: ClosedRole): AtollError {
  return new AtollError("ATOLL_ROLE_CLOSED", `the role ${role} of this plane is closed: ${reason}`);
}

/** By which SVIDs are issued. @throws {ATOLL_ROLE_CLOSED} */
export function issuerOf(keys: Pick<ClusterKeys, "issuer" | "closed">): Issuer {
  if (keys.issuer === undefined) throw closedRoleError(closedIn(keys, "issuing"));
  return keys.issuer;
}

/** By which the cluster signs what it says. @throws {ATOLL_ROLE_CLOSED} */
export function objectSignerOf(keys: Pick<ClusterKeys, "signer" | "closed">): ObjectSigner {
  if (keys.signer === undefined) throw closedRoleError(closedIn(keys, "signing"));
  return keys.signer;
}

/** All that the plane's files keep it from. */
export function closedRoles({ signer, keySource }: { readonly signer: { readonly closed: ClosedRole | undefined } | undefined; readonly keySource: { readonly keys: Watched<ClusterKeys> } }): readonly ClosedRole[] {
  return [...(signer?.closed === undefined ? [] : [signer.closed]), ...keySource.keys.current.closed];
}

function closedIn({ closed }: Pick<ClusterKeys, "closed">, role: KeyRole): ClosedRole {
  return closed.find((each) => each.role === role) ?? { role, reason: "its key is missing" };
}
