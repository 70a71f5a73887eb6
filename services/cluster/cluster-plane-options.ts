import type { AuditTrail } from "#federation/admin-api/audit.ts";
import type { PlaneAccess } from "#federation/admin-api/plane-access.ts";
import type { Attestation } from "#federation/catalog/admit-joiner.ts";
import type { Bus } from "#federation/bus/bus.ts";
import type { BackupSchedule } from "#federation/history/backup-schedule.ts";
import type { JoinGuard } from "#federation/identity/join-guard.ts";
import type { X509Svid } from "#federation/identity/svid.ts";
import type { SeenEngines } from "#federation/model/engine-report.ts";
import type { Clock } from "#federation/runtime/clock.ts";
import type { NameLookup } from "#federation/runtime/dns/name-lookup.ts";
import type { WritePrivateFile } from "#federation/runtime/private-file.ts";
import type { Random } from "#federation/runtime/random.ts";
import type { Watched } from "#federation/runtime/watched.ts";
import type { Store } from "#federation/store/store.ts";
import type { Logger } from "#federation/telemetry/logger.ts";
import type { BundleEndpoint } from "./bundle-endpoint/bundle-endpoint.ts";
import type { ClusterConfig } from "./config.ts";
import type { ClusterKeySource } from "./credentials/cluster-credentials.ts";
import type { JwtKeys } from "./credentials/jwt-keys.ts";
import type { PlaneMembership } from "./credentials/plane-membership.ts";
import type { TrustDomainSigner } from "./credentials/signer.ts";
import type { SignerRole } from "./credentials/signer-role.ts";
import type { JoinPort } from "./join-port.ts";
import type { ClusterMetrics } from "./metrics.ts";

/** What a cluster's plane knows, decides and says to others by, without its ports; all of it outlives a term. */
export interface ClusterPlaneParts {
  readonly config: ClusterConfig;
  readonly membership: PlaneMembership;
  readonly keySource: Pick<ClusterKeySource, "keys" | "takeBundle">;
  /** By which JWT-SVIDs are signed. */
  readonly jwtKeys: JwtKeys;
  /** Present at the plane that holds its trust domain's keys. */
  readonly signer: { whenOpen(signal: AbortSignal): Promise<Pick<TrustDomainSigner, "statement" | "roots">> } | undefined;
  readonly store: Store;
  /** Absent: its engines are embedded. */
  readonly engines?: SeenEngines | undefined;
  /** Absent: the plane makes no backups by itself. */
  readonly backups?: Pick<BackupSchedule, "run" | "standing"> | undefined;
  readonly bus: Bus;
  readonly metrics: ClusterMetrics;
  /** How names are looked up. */
  readonly lookup: NameLookup;
  /** As in `StoreLifeOptions`. */
  readonly writeFile?: WritePrivateFile;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
}

/** A cluster's plane with its ports. */
export interface ClusterPlaneOptions extends ClusterPlaneParts {
  readonly keySource: ClusterKeySource;
  readonly planeSvid: Watched<X509Svid>;
  readonly signer: SignerRole | undefined;
  readonly joinPort: JoinPort;
  /** Absent: it serves its trust domain's bundle to nobody. */
  readonly bundleEndpoint?: Pick<BundleEndpoint, "port" | "standing"> | undefined;
  readonly joinGuard: JoinGuard;
  readonly access: PlaneAccess;
  readonly attestation: Attestation;
  readonly audit: AuditTrail;
}
