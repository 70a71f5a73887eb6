import { z } from "zod";
import { backupBounds } from "../backup-bounds.ts";
import { backupRecipientForm, backupRecipientsMax, isBackupRecipient, type BackupRecipient } from "../backup-recipient.ts";
import { apiVersion } from "../resource.ts";
import { hostJoinSchema, joinSourceSchema } from "./join-source-schema.ts";
import { clusterIdSchema, distinctList, hostSchema, ipAddressSchema, labelSchema, namespacedNameSchema, portSchema, principalSchema, regionIdSchema, trustDomainSchema } from "./name-schemas.ts";
import { trafficPolicySpecSchema } from "./policy-schemas.ts";

/** Bounds of one file: far above what anybody writes by hand. */
const listMax = { regions: 64, hosts: 1_000, clusters: 256, services: 1_000, instances: 1_000, trustDomains: 256, entries: 256, clients: 256, sources: 32, tcpUpstreams: 64 } as const;
const wordMax = 4_096;
/** More members than that make etcd slower and hardly safer. @see https://etcd.io/docs/v3.4/faq/ */
const membersMax = 7;
const pathSchema = z.string().min(1).max(wordMax);
/** Without control characters: the words end up in unit files and scripts, where a line break would begin another statement. */
const absolutePathSchema = z.string().max(255).regex(/^\/([A-Za-z0-9._-]+(\/[A-Za-z0-9._-]+)*)?$/, "an absolute path of letters, digits, '.', '_' and '-'");

const regionSchema = z.strictObject({
  name: regionIdSchema,
  displayName: z.exactOptional(z.string().min(1).max(128)),
  coordinates: z.exactOptional(z.strictObject({ latitude: z.number().min(-90).max(90), longitude: z.number().min(-180).max(180) })),
  residency: z.exactOptional(distinctList(labelSchema, 32)),
});

const machineSchema = z.strictObject({
  name: labelSchema,
  address: hostSchema.describe("What other hosts dial: a literal IP address, or a DNS name, which they resolve."),
  listen: z.exactOptional(ipAddressSchema).describe("The literal address that its programs listen on; address unless given, and needed where that is a name or another's."),
  region: z.exactOptional(regionIdSchema).describe("Needed where there are several regions."),
  portOffset: z.exactOptional(z.int().min(0).max(40_000)).describe("Added to every default port on this host, where several hosts share one network. 0 unless given."),
  join: z.exactOptional(hostJoinSchema).describe("What joins here does so by what the machine's cloud signs, without any token. One process at each plane."),
  root: z.exactOptional(absolutePathSchema).describe("Directory under which etc/atoll and var/lib/atoll are, where several hosts share one file system. / unless given."),
});

/** By which profile a trust domain's planes serve its bundle. */
export const bundleEndpointSchema = z.discriminatedUnion("profile", [
  z.strictObject({ profile: z.literal("https_spiffe") }),
  z.strictObject({ profile: z.literal("https_web"), certificateFile: absolutePathSchema.describe("On the host of each plane: PEM, the endpoint's own certificate first."), keyFile: absolutePathSchema.describe("On the host of each plane: PEM, for the plane's user alone.") }),
]);

const trustDomainEntrySchema = z.strictObject({
  name: trustDomainSchema,
  signer: z.exactOptional(clusterIdSchema).describe("Whose plane holds its root; its first cluster unless given."),
  bundleEndpoint: z.exactOptional(bundleEndpointSchema).describe("Every plane of it serves its bundle to other federations, by this profile of SPIFFE Federation; none does unless given."),
});

const clusterGatewaysSchema = z.strictObject({
  hosts: z.exactOptional(distinctList(labelSchema, listMax.entries).min(1, "at least one host")).describe("One gateway on each; on the cluster's host unless given."),
  address: z.exactOptional(hostSchema).describe("What other clusters dial instead of these hosts: the name or address of a load balancer in front of them, by the port of the first."),
});

const clusterSchema = z.strictObject({
  name: clusterIdSchema,
  region: z.exactOptional(regionIdSchema).describe("Needed where there are several regions."),
  trustDomain: z.exactOptional(trustDomainSchema).describe("Needed where there are several trust domains."),
  exportNamespaces: z.exactOptional(distinctList(labelSchema, listMax.entries)).describe("Namespaces whose services it may export; those of its services unless given."),
  host: z.exactOptional(labelSchema).describe("Where its plane and its gateway stand; the first host of its region unless given."),
  gateways: z.exactOptional(clusterGatewaysSchema).describe("On many machines: several gateways, or a load balancer in front of them."),
});

const instanceSchema = z.strictObject({
  cluster: clusterIdSchema,
  host: z.exactOptional(labelSchema).describe("Where this instance and its sidecar stand; the cluster's host unless given."),
  appPort: z.exactOptional(portSchema).describe("Where this instance listens, if elsewhere than the others."),
});

const serviceSchema = z.strictObject({
  name: labelSchema,
  namespace: z.exactOptional(labelSchema).describe("default unless given."),
  trustDomain: z.exactOptional(trustDomainSchema).describe("Needed where there are several trust domains, unless its clusters are named."),
  clusters: z.exactOptional(distinctList(clusterIdSchema, listMax.clusters)).describe("Where it runs, one instance in each; every cluster of its trust domain unless given."),
  instances: z.exactOptional(distinctList(instanceSchema, listMax.instances, (one) => JSON.stringify(one))).describe("Where it runs, instance by instance, instead of clusters."),
  protocol: z.exactOptional(z.enum(["http", "tcp"])).describe("What it speaks; http unless given. Connections to a tcp service are led as they are."),
  port: z.exactOptional(portSchema).describe("By which others call it; 80 unless given, and needed with tcp."),
  appPort: z.exactOptional(portSchema).describe("Where the application listens on 127.0.0.1; 8080 unless given. With a command and without this, a free port is chosen."),
  command: z.exactOptional(z.array(z.string().min(1).max(wordMax)).min(1, "a program").max(256)).describe("Starts the application on this machine (atoll up): program and arguments, {port} stands for its port, which is also in PORT."),
  directory: z.exactOptional(pathSchema).describe("Where the command runs, relative to this file."),
  env: z.exactOptional(z.record(z.string().regex(/^[A-Za-z_][A-Za-z0-9_]{0,127}$/, "a name of a variable"), z.string().max(wordMax))).describe("Variables for the command."),
  readiness: z.exactOptional(z.strictObject({ path: z.string().max(1_024).regex(/^\/[\x21-\x7e]*$/, "a path that begins with /") })).describe("A GET of it answers 2xx or 3xx when the application is ready; without it, its port accepts."),
  export: z.exactOptional(z.boolean()).describe("Whether other clusters may see it; true unless given."),
  consumers: z.exactOptional(distinctList(trustDomainSchema, listMax.entries)).describe("Trust domains that may see it besides its own."),
  upstreams: z.exactOptional(distinctList(namespacedNameSchema, listMax.services)).describe("Services that it calls; every one that it may see unless given."),
  workloadApi: z.exactOptional(z.boolean()).describe("Whether its sidecars hand it its identity by the SPIFFE Workload API; false unless given."),
  tcpUpstreams: z
    .exactOptional(
      distinctList(
        z.strictObject({
          service: namespacedNameSchema,
          localPort: z.exactOptional(portSchema).describe("On 127.0.0.1, of its sidecar; that of the service unless given. atoll up chooses a free one where several instances would share it."),
        }),
        listMax.tcpUpstreams,
        (upstream) => upstream.service,
      ),
    )
    .describe("TCP services that it calls, each by a port of its own beside it."),
});

const relationshipSchema = z.strictObject({
  name: labelSchema,
  caller: z.strictObject({ trustDomain: trustDomainSchema, principals: distinctList(principalSchema, listMax.entries).min(1, "at least one principal") }),
  callee: z.strictObject({ trustDomain: trustDomainSchema, services: distinctList(namespacedNameSchema, listMax.entries).min(1, "at least one service") }),
  validDays: z.exactOptional(z.int().min(1).max(3_650)).describe("90 unless given."),
});

const clientSchema = z.strictObject({
  name: labelSchema,
  role: z.exactOptional(z.enum(["viewer", "operator", "administrator"])).describe("operator unless given."),
  trustDomains: z.exactOptional(distinctList(trustDomainSchema, listMax.trustDomains).min(1, "at least one trust domain")).describe("Where an operator may write; everywhere unless given."),
  namespaces: z.exactOptional(distinctList(labelSchema, listMax.entries).min(1, "at least one namespace")).describe("Where an operator may write; everywhere unless given."),
});

const { everySeconds, keep } = backupBounds;
const backupsSchema = z.strictObject({
  recipients: distinctList(z.string().max(80).refine(isBackupRecipient, backupRecipientForm) as unknown as z.ZodType<BackupRecipient, string>, backupRecipientsMax)
    .min(1, "at least one recipient")
    .describe("For whom they are encrypted, as atoll backup-key prints it. No plane can read one."),
  everySeconds: z.exactOptional(z.int().min(everySeconds.min).max(everySeconds.max)).describe(`${everySeconds.usual} unless given.`),
  keep: z.exactOptional(z.int().min(keep.min).max(keep.max)).describe(`How many each plane keeps, in backups/ of its data directory; ${keep.usual} unless given.`),
});

const enginePlaceSchema = z.strictObject({
  region: regionIdSchema,
  hosts: z
    .exactOptional(distinctList(labelSchema, membersMax).refine(({ length }) => length % 2 === 1, `1, 3, 5 or ${membersMax} hosts: one more than an odd number bears no more losses`))
    .describe("A member of etcd and a nats-server on each: three serve on while one is lost. The host of the region's first cluster unless given."),
  etcdPort: z.exactOptional(portSchema),
  etcdPeerPort: z.exactOptional(portSchema),
  natsPort: z.exactOptional(portSchema),
  natsRoutePort: z.exactOptional(portSchema),
  natsGatewayPort: z.exactOptional(portSchema),
});

/** What a user writes of a whole federation. */
export const federationSchema = z.strictObject({
  apiVersion: z.literal(apiVersion),
  kind: z.literal("Federation"),
  metadata: z.strictObject({ name: labelSchema.describe("Also its name on this machine, as in atoll --name.") }),
  spec: z.strictObject({
    trustDomain: z.exactOptional(trustDomainSchema).describe("The federation's own, of planes and engines; <name>.atoll unless given."),
    regions: z.array(regionSchema).min(1, "at least one region").max(listMax.regions),
    distances: z
      .exactOptional(z.array(z.strictObject({ between: z.tuple([regionIdSchema, regionIdSchema]), oneWayMs: z.number().min(0).max(10_000) })).max(listMax.regions ** 2))
      .describe("Delays that atoll up plays between regions; worked out from coordinates unless given."),
    trustDomains: z
      .exactOptional(z.array(trustDomainEntrySchema).min(1).max(listMax.trustDomains))
      .describe("Those of the clusters unless given; <name>.mesh where none is named."),
    clusters: z.exactOptional(z.array(clusterSchema).min(1, "at least one cluster").max(listMax.clusters)).describe("One for each region, named as it, unless given."),
    services: z.exactOptional(z.array(serviceSchema).max(listMax.services)),
    relationships: z.exactOptional(z.array(relationshipSchema).max(listMax.entries)),
    policies: z.exactOptional(z.array(z.strictObject({ name: labelSchema, namespace: z.exactOptional(labelSchema).describe("default unless given."), spec: trafficPolicySpecSchema })).max(listMax.services)),
    users: z
      .exactOptional(
        distinctList(
          z.strictObject({
            region: regionIdSchema,
            service: namespacedNameSchema.describe("What they call."),
            path: z.exactOptional(z.string().max(1_024).regex(/^\/[\x21-\x7e]*$/, "a path that begins with /")).describe("/ unless given."),
            ratePerSecond: z.exactOptional(z.int().min(1).max(10_000)).describe("20 unless given."),
          }),
          listMax.regions,
          (users) => users.region,
        ),
      )
      .describe("Callers that atoll up plays in a region, for drills to watch. The answers' field x-region says where they come from."),
    clients: z
      .exactOptional(distinctList(clientSchema, listMax.clients, (client) => client.name))
      .describe("Whom the planes let in besides the administrator, as programs of a team: each by a certificate and a context file of its own."),
    backups: z.exactOptional(backupsSchema).describe("Every plane backs its store up by itself; none does unless given."),
    engines: z
      .exactOptional(z.strictObject({ kind: z.enum(["embedded", "etcd-nats"]), places: z.exactOptional(distinctList(enginePlaceSchema, listMax.regions, (place) => place.region)) }))
      .describe("SQLite and a hub in one process, or etcd and nats-server in every region. For one machine embedded unless given; many machines have etcd-nats."),
    global: z.exactOptional(z.strictObject({ host: labelSchema })).describe("Where the global plane stands; on the host of the first cluster unless given."),
    attestation: z
      .exactOptional(z.strictObject({ sources: z.record(labelSchema, joinSourceSchema).refine((sources) => Object.keys(sources).length <= listMax.sources, `at most ${listMax.sources} sources`) }))
      .describe("Whose documents about hosts the planes of atoll bootstrap believe; keys and certificates are files on the planes' machines."),
    hosts: z.exactOptional(z.array(machineSchema).min(1).max(listMax.hosts)).describe("The machines of atoll bootstrap."),
  }),
});

/** A federation's file as its user wrote it: what was left out is absent. */
export type FederationDocument = z.output<typeof federationSchema>;
export type FederationDocumentSpec = FederationDocument["spec"];
export type FederationDocumentService = NonNullable<FederationDocumentSpec["services"]>[number];
