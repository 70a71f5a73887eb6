import { createHash } from "node:crypto";
import type { Scope } from "#federation/admin-api/access.ts";
import { clusterRoutes, type RootRotation } from "#federation/admin-api/plane-routes.ts";
import { implement, type Operation } from "#federation/admin-api/route.ts";
import type { Clock } from "#federation/runtime/clock.ts";
import { AtollError } from "#federation/runtime/errors.ts";
import type { Logger } from "#federation/telemetry/logger.ts";
import type { ClusterSelf } from "../cluster-state.ts";
import type { TrustDomainSigner } from "../credentials/signer.ts";
import type { SignerRole } from "../credentials/signer-role.ts";

export interface RotationOperationsOptions {
  readonly self: Pick<ClusterSelf, "trustDomain">;
  /** Present at the plane that holds its trust domain's keys. */
  readonly signer: Pick<SignerRole, "current"> | undefined;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** The rotation of the root of this plane's trust domain: where it stands, and its next step. */
export function rotationOperations({ self, signer, clock, logger }: RotationOperationsOptions): readonly Operation[] {
  const scope: Scope = { oneOfTrustDomains: [self.trustDomain], everyNamespace: "all" };
  const ownSigner = (): TrustDomainSigner => {
    if (signer === undefined) throw new AtollError("ATOLL_REQUEST_INVALID", `this plane is not the signer of ${self.trustDomain}; ask the plane that is`);
    return signer.current();
  };
  return [
    implement(clusterRoutes.rootRotation, async () => ({ body: rotationOf(ownSigner()) })),
    implement(clusterRoutes.stepRootRotation, async ({ body, demand }) => {
      demand(scope);
      const by = ownSigner();
      by.rotate(body, clock.nowMs());
      const rotation = rotationOf(by);
      logger.info("A step of the rotation of the trust domain's root was taken.", { step: body.step, phase: rotation.phase, sequence: rotation.sequence });
      return { body: rotation, change: { outcome: "done", kind: "RootRotation", id: self.trustDomain } };
    }),
  ];
}

function rotationOf({ trustDomain, roots, bundle }: TrustDomainSigner): RootRotation {
  const [issuing = new Uint8Array()] = bundle.x509Authorities;
  return { trustDomain, phase: roots.current.phase, sequence: bundle.sequence, issuingSha256: createHash("sha256").update(issuing).digest("hex") };
}
