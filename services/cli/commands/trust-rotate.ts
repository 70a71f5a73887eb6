import { clusterRoutes, type BundleRow, type RootRotation } from "#federation/admin-api/plane-routes.ts";
import { AtollError } from "#federation/runtime/errors.ts";
import type { CommandContext } from "../context.ts";
import { printData } from "../output.ts";
import type { Planes } from "../planes.ts";
import { keepAlive } from "../terminal.ts";
import { driveRotation, type DriveOptions } from "./drive-rotation.ts";
import { withFederation } from "./federation.ts";
import { Patience } from "./patience.ts";
import { concernedClusters, rotationWaits, type RotationWait } from "./rotation-waits.ts";

/**
 * `atoll trust rotate TRUST-DOMAIN`: gives a trust domain another root, and stays until nobody verifies by the former any more.
 * @throws {ATOLL_NOT_FOUND} for a trust domain that the federation does not have, and as `driveRotation`
 */
export async function runTrustRotate(context: CommandContext, trustDomain: string, options: DriveOptions): Promise<number> {
  const { signal, terminal } = context;
  const rotation = await withFederation(context, async ({ planes }) => {
    using _alive = keepAlive();
    await requireTrustDomain(planes, trustDomain, signal);
    const signer = planes.cluster(planes.signerOf(trustDomain));
    return await driveRotation(
      {
        look: async (inner) => await lookAtRotation(context, planes, trustDomain, inner),
        take: async (step, sequence, inner) => (await signer.call(clusterRoutes.stepRootRotation, { body: { step, sequence } }, inner)).body,
        onWord: (word) => terminal.note(word),
        clock: terminal.clock,
      },
      options,
      signal,
    );
  });
  if (!printData(context, rotation)) terminal.print(`${trustDomain} has one root, in the bundle of sequence ${rotation.sequence}; its SHA-256 is ${rotation.issuingSha256}`);
  return 0;
}

async function requireTrustDomain(planes: Planes, trustDomain: string, signal: AbortSignal): Promise<void> {
  const known = (await planes.global().list("TrustDomain", {}, signal)).map(({ metadata }) => metadata.name);
  if (!known.includes(trustDomain)) throw new AtollError("ATOLL_NOT_FOUND", `there is no trust domain ${trustDomain}; there are ${known.join(", ")}`);
}

export interface LookedAtRotation {
  readonly rotation: RootRotation;
  readonly waits: readonly RotationWait[];
}

/** Where the rotation of a trust domain's root stands, as its signer says now, and for whom the next step has to wait. */
export async function lookAtRotation({ terminal }: Pick<CommandContext, "terminal">, planes: Planes, trustDomain: string, signal: AbortSignal): Promise<LookedAtRotation> {
  const signer = planes.signerOf(trustDomain);
  const [clusters, relationships] = await Promise.all([planes.global().list("Cluster", {}, signal), planes.global().list("Relationship", {}, signal)]);
  const rotation = (await planes.cluster(signer).call(clusterRoutes.rootRotation, {}, signal)).body;
  using patience = new Patience(terminal.clock, signal);
  const asked = await Promise.all(
    concernedClusters(trustDomain, clusters, relationships).map(async ({ metadata: { name } }) => [name, await patience.ask(async (inner): Promise<readonly BundleRow[]> => (await planes.cluster(name).call(clusterRoutes.bundles, {}, inner)).body.items)] as const),
  );
  return { rotation, waits: rotationWaits({ rotation, signer, clusters, relationships, asked: new Map(asked) }) };
}
