import { z } from "zod";
import { keyRoles } from "#federation/model/closed-role.ts";
import { etcdReaches, natsReaches } from "#federation/model/engine-report.ts";
import { requestKinds } from "./plane-admission.ts";
import { storeStandingSchema } from "./store-routes.ts";
import { clusterIdSchema, hostSchema, labelSchema, portSchema, regionIdSchema, spiffeIdSchema, trustDomainSchema } from "#federation/model/parse/name-schemas.ts";

// Answers are read leniently: a newer plane may say more than we know.

const count = z.int().min(0);
const ms = z.number().min(0);

const withdrawalsHeld = count.optional().describe("Objects that it has withdrawn without a signed deletion, more at once than is believed: they are held until that is explained or let go. Absent: none.");

const refused = z.array(z.object({ id: z.string(), reason: z.string() })).optional().describe("Objects of this plane that it is sent and goes on refusing, at most 16 of them. Absent: none.");

const doubled = z
  .object({ incarnations: z.array(z.string()), sinceMs: count.describe("Wall-clock ms.") })
  .optional()
  .describe("Two processes speak under its name, and nothing is taken up of either: until one is silent for a minute, or one is named by a reconciliation.");

const incarnation = z
  .object({
    id: z.string().describe("The machine's name, and digits that are new for each time that a plane publishes."),
    rival: z.object({ id: z.string(), witness: z.string().describe("The plane that hears both."), sinceMs: count.describe("Wall-clock ms.") }).optional().describe("Another process of this plane's name that is alive beside it: neither takes writes or publishes."),
  })
  .optional()
  .describe("Which process of its name answers; absent while it publishes nothing, and of an older plane.");

const backups = z
  .object({
    directory: z.string(),
    everySeconds: count,
    kept: count.describe("How many are there."),
    newestAtMs: count.optional().describe("Wall-clock ms; absent: there is none."),
    sinceMs: count.describe("Wall-clock ms since which the answering process has been to make them."),
    failing: z.object({ sinceMs: count.describe("Wall-clock ms."), reason: z.string() }).optional().describe("One is due and cannot be made."),
  })
  .optional()
  .describe("Backups that this plane makes by itself. Absent: it makes none, or is older.");

const engines = z
  .array(
    z.discriminatedUnion("kind", [
      z.object({
        kind: z.literal("etcd"),
        address: z.string(),
        silent: z.string().optional().describe("Why this member did not answer; nothing else is said of it then."),
        hasLeader: z.boolean().optional().describe("False for a member that answers and is cut from its peers: it can neither write nor tell anything new."),
        version: z.string().optional(),
        clockAheadMs: z.number().optional().describe("Its clock less the plane's, to about a second."),
        database: z.object({ bytes: count, usedBytes: count, quotaBytes: count.optional() }).optional(),
        alarms: z.array(z.string()).optional(),
        syncs: z.object({ count, slow: count.describe("Longer than a second."), writes: count }).optional().describe("Of its log, in about a minute; absent until that is over."),
        reaches: z.array(z.enum(etcdReaches)).optional().describe("What the plane can do there to keys of others. Absent: not known."),
      }),
      z.object({
        kind: z.literal("nats"),
        address: z.string(),
        version: z.string(),
        messageBytesMax: count,
        reaches: z.array(z.enum(natsReaches)).describe("What the plane can do there on subjects of others."),
      }),
    ]),
  )
  .optional()
  .describe("This plane's engines as it sees them by its own certificate. Absent: they are embedded, have not been looked at, or it is older.");

const apiOverloads = z
  .array(z.object({ requests: z.enum(requestKinds), admits: count.describe("Of them a second that are taken."), asked: count.describe("Of them a second that come.") }))
  .optional()
  .describe("What this plane is asked for more often than it can do, so that some of it is refused. Absent: nothing, or an older plane.");

const engineCertificates = z
  .array(
    z.object({
      engine: z.enum(["etcd", "nats"]),
      address: z.string(),
      notBeforeMs: z.number().describe("Wall-clock ms."),
      notAfterMs: z.number().describe("Wall-clock ms."),
    }),
  )
  .optional()
  .describe("What each engine of this plane shows in the handshake, also one that has ended. Absent: its engines are embedded, none has shown one lately, or it is older.");

const authorities = z
  .array(
    z.object({
      role: z.string().describe("root, authority, or issuing: what the global plane issues certificates of planes and engines by."),
      trustDomain: trustDomainSchema,
      notBeforeMs: z.number().describe("Wall-clock ms."),
      notAfterMs: z.number().describe("Wall-clock ms."),
    }),
  )
  .optional()
  .describe("Certificates that others are issued by: the federation's own, and each trust domain's. Absent: an older plane.");

/** How one place of a service stands. */
export const servicePlaceSchema = z.object({
  cluster: clusterIdSchema,
  region: regionIdSchema,
  endpointsReady: count.describe("Instances that are heard and ready."),
  endpointsUnknown: count.optional().describe("Instances that were ready and are not heard any more; they are asked for all the same. An older plane counts them among the ready ones."),
  endpointsTotal: count,
  ageMs: ms.describe("How old the knowledge is: since it was last confirmed that this is what the place's own plane says; where nobody confirms it, since it was said."),
  changedAgeMs: ms.optional().describe("Since its own plane said it: a place where nothing changes says nothing new. Absent: one's own cluster, or an older plane."),
});

/** One row of the matrix services × regions. */
export const serviceRowSchema = z.object({
  trustDomain: trustDomainSchema,
  namespace: labelSchema,
  name: labelSchema,
  places: z.array(servicePlaceSchema),
});

/** A cluster as the global plane sees it. */
export const clusterRowSchema = z.object({
  id: clusterIdSchema,
  region: regionIdSchema,
  trustDomain: trustDomainSchema,
  connected: z.boolean().describe("Its heartbeats arrive."),
  heardAgeMs: ms.optional().describe("Since its last heartbeat; absent: never heard."),
  clockAheadMs: z.number().optional().describe("The clock of its plane less this one's, too small by the way of what it says. Absent: too little of it was heard, or this plane is older."),
  sentSeq: count.describe("Last frame sent to it."),
  acknowledgedSeq: count.describe("Last frame that it said it applied."),
  lagMs: ms.describe("Age of the oldest frame that it has not acknowledged; 0 when there is none."),
  refusesUs: z.boolean().optional().describe("It applies nothing of this plane any more, whose store was seen behind what it had told."),
  behindSinceMs: count.optional().describe("Wall-clock ms since when its own store is known to be behind what it had told; nothing of it is applied."),
  doubled,
  withdrawalsHeld,
  refused,
  servicesExported: count,
  gateways: z.array(z.object({ address: hostSchema, port: portSchema })),
});

export const relationshipRowSchema = z.object({
  name: labelSchema,
  caller: trustDomainSchema,
  callee: trustDomainSchema,
  state: z.enum(["active", "waitingForApproval", "expired", "invalid"]).describe("active: something of it holds, be it not yet what is proposed."),
  validUntil: z.string().describe("The end of what holds; where nothing does, of what is proposed."),
  since: z.string().optional().describe("Of an active one: when the second side approved what holds."),
  proposed: z
    .object({ validUntil: z.string(), waitsFor: z.array(trustDomainSchema) })
    .optional()
    .describe("Of an active one: other terms that wait for the approval of these sides, while those that were agreed hold. Absent: none, or an older plane."),
});

/** A DNS name that a plane, or the proxies of its cluster, dial, and what it stands for there. */
export const nameRowSchema = z.object({
  name: hostSchema,
  use: z.string().describe("What is reached by it."),
  addresses: z.array(z.string()).describe("Those of the last answer that had any."),
  problem: z.string().optional().describe("Why the last look-up gave nothing; absent when it did."),
});

const store = storeStandingSchema.optional().describe("Of this plane's own store; an older plane says nothing.");

const storeAwaySinceMs = count.optional().describe("Wall-clock ms of the last answer of this plane's own store, which is away now: all that is said here is as of then. Absent: it answers.");

const unfollowed = z
  .array(
    z.object({
      collection: z.string().describe("As it is called in the store: resources/TrafficPolicy."),
      ageMs: count.describe("Since it was last known to be what the store holds, by the plane's monotonic clock."),
      reason: z.string().describe("Why it could not be read when that was tried last."),
    }),
  )
  .optional()
  .describe("What this plane has not been able to read in its own store for ten seconds or longer, though the store answers: what it shows and does by it is as old as that. Absent: nothing, or an older plane.");

const unwritable = z
  .array(
    z.object({
      what: z.string().describe("its store, its audit trail, or the name of a file."),
      reason: z.string(),
      sinceMs: count.describe("Wall-clock ms of the first try that failed."),
    }),
  )
  .optional()
  .describe("What this plane has to write and cannot, as on a full disk: it answers by what it knows, and takes no changes where its store or its audit trail is among them. Absent: nothing, or an older plane.");

const names = z.array(nameRowSchema).optional().describe("Names that are dialled here; an older plane says nothing.");

/** What the global plane knows of the whole federation. */
export const federationStatusSchema = z.object({
  federation: trustDomainSchema,
  asOfMs: count,
  epoch: count,
  leader: z.boolean().describe("This replica leads."),
  clusters: z.array(clusterRowSchema),
  services: z.array(serviceRowSchema),
  relationships: z.array(relationshipRowSchema),
  names,
  store,
  storeAwaySinceMs,
  unfollowed,
  unwritable,
  incarnation,
  backups,
  engines,
  apiOverloads,
  engineCertificates,
  authorities,
});

/** A policy that not every proxy of a cluster is told of. */
export const policyTrialSchema = z.object({
  kind: z.literal("TrafficPolicy"),
  id: z.string(),
  generation: z.object({ epoch: count, revision: count }).optional().describe("Position of the write that is held back."),
  state: z.enum(["waiting", "tried", "stopped"]).describe("waiting: for a proxy that it can be tried by; tried: some proxies are told of it before the others; stopped: one of them did not bear it, or none said anything of it, and all have the one before."),
  proxies: z.array(z.string()).describe("Those that are, or the one that was, told of it first."),
  cause: z.string().optional().describe("Of one that is stopped: refused, ended, away, left or silent."),
  reason: z.string().optional(),
  triedAgain: z.boolean().optional().describe("True for one of which nobody said anything (left, silent): it is tried again by itself, after pauses of 4 s to a minute."),
  stoppedAtMs: count.optional().describe("Wall-clock ms."),
});

/** A proxy that is, or lately was, connected to its cluster's plane. */
export const proxyRowSchema = z.object({
  name: z.string(),
  identity: spiffeIdSchema,
  mode: z.enum(["sidecar", "gateway", "other"]),
  connected: z.boolean().describe("False for one that is not heard and has not taken its leave: it may route by what it was told, until its identity runs out."),
  heardAgeMs: ms.optional().describe("Since it was heard last; absent while it is connected."),
  acknowledgedRevision: count.describe("Of the snapshot that it applied last."),
  lagMs: ms.describe("Since it was sent something that it has not answered; 0 when there is nothing."),
  rejections: count.describe("Snapshots that it refused."),
  lastRejection: z.string().optional(),
});

const overloadSchema = z.object({
  admits: count.describe("Requests a second that are let in."),
  asked: count.describe("Requests a second that come."),
});

/** An instance's part of a service that is asked for more than it can do. */
export const instanceOverloadSchema = overloadSchema.extend({ instance: z.string(), namespace: labelSchema, service: labelSchema });

/** What a cluster's own plane knows; complete without the global plane. */
export const clusterStatusSchema = z.object({
  cluster: clusterIdSchema,
  region: regionIdSchema,
  trustDomain: trustDomainSchema,
  federation: trustDomainSchema,
  asOfMs: count,
  generation: z.object({ epoch: count, revision: count }),
  globalPlane: z.object({ connected: z.boolean(), heardAgeMs: ms.optional(), refusesUs: z.boolean().optional(), behindSinceMs: count.optional(), doubled, withdrawalsHeld, refused }),
  identity: z.object({
    intermediateNotAfterMs: count.describe("0 where there is none that can be used."),
    signer: z.enum(["own", "remote"]),
    closedRoles: z
      .array(z.object({ role: z.enum(keyRoles), reason: z.string() }))
      .optional()
      .describe("What the plane does not do because the files of a key are damaged or missing: certify and approve (signer), issue SVIDs (issuing), publish (signing). Absent: nothing, or an older plane."),
  }),
  bundleEndpoint: z
    .object({
      profile: z.enum(["https_spiffe", "https_web"]),
      port: count,
      sequence: count.describe("Of the bundle that is served."),
      certificateNotAfterMs: count.optional().describe("Wall-clock ms. Absent: there is no certificate, and nobody is served."),
      fault: z.string().optional().describe("Why there is none, or none that is newer."),
    })
    .optional()
    .describe("Where others fetch the trust domain's bundle. Absent: not here, or an older plane."),
  federatedTrustDomains: z
    .array(
      z.object({
        trustDomain: trustDomainSchema,
        profile: z.enum(["https_spiffe", "https_web"]),
        sequence: count.optional().describe("Of the bundle that is believed. Absent, as what follows: there is none, and nobody of it is believed."),
        roots: count.optional(),
        jwtAuthorities: count.optional(),
        rootsNotAfterMs: count.optional().describe("Wall-clock ms: when the last root ends."),
        acceptedAtMs: count.optional().describe("Wall-clock ms: since when what was fetched is believed. Absent: nothing has been fetched yet."),
        confirmedAtMs: count.optional().describe("Wall-clock ms: when the endpoint last said what is believed. Absent: not since this plane leads."),
        nextFetchMs: count.optional().describe("Wall-clock ms."),
        fault: z.object({ reason: z.string(), message: z.string(), sinceMs: count }).optional().describe("Why the last fetch gave nothing; what is believed goes on."),
      }),
    )
    .optional()
    .describe("Trust domains outside of this federation whose identities workloads of the cluster can verify. Absent: none, or an older plane."),
  endpoints: z.object({ ready: count, notReady: count, unknown: count }),
  services: z.array(serviceRowSchema).describe("Own and imported ones."),
  proxies: z.array(proxyRowSchema),
  names,
  store,
  storeAwaySinceMs,
  unfollowed,
  unwritable,
  incarnation,
  backups,
  engines,
  apiOverloads,
  engineCertificates,
  policyTrials: z.array(policyTrialSchema).optional().describe("Policies that not every proxy is told of, at most 100 of them. Absent: none, or an older plane."),
  unreached: z
    .array(
      z.object({
        cluster: clusterIdSchema,
        forMs: ms.describe("Since one of them reached a gateway of it, of all of them the longest."),
        instances: count.describe("How many say so."),
        named: z.array(z.string()).describe("Some of them."),
      }),
    )
    .optional()
    .describe("Other clusters of which instances here reach no gateway, as they said last. Absent: none, or an older plane."),
  unwritten: z
    .array(z.object({ instance: z.string(), reason: z.string() }))
    .optional()
    .describe("Instances whose proxies cannot write the newest of what they know to their disks, as they said last, at most 100 of them. Absent: none, or an older plane."),
  clocks: z
    .array(z.object({ instance: z.string(), aheadMs: z.number().describe("Its clock less the plane's, to about a second.") }))
    .optional()
    .describe("Proxies whose clocks are thirty seconds or more from the plane's, as they said last, at most 100 of them. Absent: none, or an older plane."),
  overloads: z.array(instanceOverloadSchema).optional().describe("Instances that refuse requests because they cannot do more, as they said last; an older plane says nothing."),
});

/** Why a service is, or would be, served where it is. */
export const explanationSchema = z.object({
  service: z.string(),
  fromCluster: clusterIdSchema,
  fromRegion: regionIdSchema,
  asOfMs: count,
  localityMode: z.enum(["nearest", "ordered", "weights"]),
  chosen: clusterIdSchema.optional().describe("Where a request would go first; absent: nowhere."),
  places: z.array(
    servicePlaceSchema.extend({
      kind: z.enum(["local", "remote"]),
      order: count.describe("0 is tried first."),
      verdict: z.enum(["healthy", "suspect", "down", "unknown"]),
      loadShare: z.number().min(0).max(1),
      roundTripMs: ms.optional().describe("As measured from here."),
      overload: overloadSchema.optional().describe("Present while its instances refuse requests because they cannot do more."),
      reason: z.string().describe("Why it stands at this place of the order."),
    }),
  ),
  notes: z.array(z.string()),
});

export const simulationSchema = z.object({
  service: z.string(),
  fromCluster: clusterIdSchema,
  fromRegion: regionIdSchema,
  asOfMs: count,
  served: z.boolean().describe("Whether anything ready would be left to serve the callers."),
  callerLost: z.boolean().describe("Whether the callers themselves are in what is lost."),
  chosen: clusterIdSchema.optional().describe("Where a request would go first then; absent: nowhere."),
  capacityLeft: z.number().min(0).max(1).describe("Of the instances that are usable now (ready, or with nothing known against them), the share that would be left."),
  places: z.array(
    z.object({
      cluster: clusterIdSchema,
      region: regionIdSchema,
      lost: z.boolean(),
      endpointsReady: count,
      endpointsUnknown: count.optional(),
      endpointsTotal: count,
      loadShareBefore: z.number().min(0).max(1).describe("Of the requests of these callers."),
      loadShareAfter: z.number().min(0).max(1),
    }),
  ),
  notes: z.array(z.string()),
});

export type SimulationAnswer = z.infer<typeof simulationSchema>;
export type ServicePlace = z.infer<typeof servicePlaceSchema>;
export type ServiceRow = z.infer<typeof serviceRowSchema>;
export type ClusterRow = z.infer<typeof clusterRowSchema>;
export type RelationshipRow = z.infer<typeof relationshipRowSchema>;
export type ProxyRow = z.infer<typeof proxyRowSchema>;
export type FederationStatus = z.infer<typeof federationStatusSchema>;
export type PolicyTrial = z.infer<typeof policyTrialSchema>;
export type ClusterStatus = z.infer<typeof clusterStatusSchema>;
export type Explanation = z.infer<typeof explanationSchema>;
