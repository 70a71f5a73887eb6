import type { EngineTlsFiles } from "./etcd-args.ts";

/** A client that the server knows by the URI SAN of its certificate. */
export interface NatsUser {
  /** `spiffe://…`, as it stands in the certificate. */
  readonly spiffeId: string;
  readonly publish: readonly string[];
  readonly subscribe: readonly string[];
}

/** Where a server listens. */
export interface NatsAddress {
  readonly address: string;
  readonly port: number;
}

/** A server of another region, reached over its gateway port. */
export interface NatsGatewayPeer extends NatsAddress {
  readonly region: string;
}

/** One nats-server; with `cluster` one of a region's, with `gateway` the region is one of a supercluster. */
export interface NatsServerOptions {
  readonly name: string;
  /** Literal address to listen on. */
  readonly address: string;
  /** By which planes and other regions reach it, a DNS name perhaps; `address` unless given. */
  readonly advertise?: string;
  /** -1 lets the server choose; see `portsDirectory`. */
  readonly port: number;
  readonly tls: EngineTlsFiles;
  readonly users: readonly NatsUser[];
  /** The server writes the ports it got into a file there. */
  readonly portsDirectory?: string;
  readonly cluster?: NatsAddress & {
    /** The same as the gateway's region. */
    readonly name: string;
    readonly tls: EngineTlsFiles;
    /** URI SAN in the certificates of all servers of the region: nobody else may be a route. */
    readonly spiffeId: string;
    /** Route ports of all servers of the region; its own is skipped by the server. */
    readonly routes: readonly NatsAddress[];
  };
  readonly gateway?: {
    readonly region: string;
    readonly address: string;
    readonly port: number;
    readonly tls: EngineTlsFiles;
    readonly peers: readonly NatsGatewayPeer[];
  };
}

/** What a cluster's plane may do on the bus. Its id is a single token, since ids are DNS labels. */
export function clusterPlaneUser(spiffeId: string, cluster: string): NatsUser {
  return { spiffeId, publish: [`atoll.up.${cluster}.>`], subscribe: [`atoll.down.${cluster}.>`, `${inboxPrefix(cluster)}.>`] };
}

/** What the global plane may do on the bus: the mirror image of all clusters. */
export function globalPlaneUser(spiffeId: string): NatsUser {
  return { spiffeId, publish: ["atoll.down.>"], subscribe: ["atoll.up.>", `${inboxPrefix("global")}.>`] };
}

/** The private inbox of a cluster's plane, or of the global plane under "global". */
export function inboxPrefix(plane: string): string {
  return `_INBOX_${plane}`;
}

/** A reply may go only to where a request that the user received wants it, once, within this time. */
const responses = 'allow_responses: { max: 1, expires: "1m" }';

/**
 * The configuration file of a nats-server from 2.9 on: TLS with client certificates mapped to users, no JetStream,
 * no route but to the servers and gateways named here. Everything that is not allowed to a user is refused.
 * @see https://docs.nats.io/running-a-nats-service/configuration
 */
export function natsConfig(options: NatsServerOptions): string {
  const { cluster, gateway, advertise = options.address } = options;
  const isElsewhere = advertise !== options.address;
  const lines = [
    `server_name: ${quote(options.name)}`,
    `host: ${quote(options.address)}`,
    `port: ${options.port}`,
    // Servers tell clients and each other where they are.
    ...(isElsewhere ? [`client_advertise: ${quote(hostPort({ address: advertise, port: options.port }))}`] : []),
    ...(options.portsDirectory === undefined ? [] : [`ports_file_dir: ${quote(options.portsDirectory)}`]),
    "max_payload: 1048576",
    // A plane that reads slowly loses its connection at this backlog, and heals by digest after it is back.
    "max_pending: 67108864",
    'ping_interval: "5s"',
    "ping_max: 2",
    ...tlsBlock(options.tls, "  verify_and_map: true"),
    "authorization {",
    '  default_permissions: { publish: { deny: ">" }, subscribe: { deny: ">" } }',
    "  users: [",
    ...options.users.map(userLine),
    "  ]",
    "}",
  ];
  if (cluster !== undefined) {
    lines.push(
      "cluster {",
      `  name: ${quote(cluster.name)}`,
      `  host: ${quote(cluster.address)}`,
      `  port: ${cluster.port}`,
      // Planes know every server by their configuration.
      "  no_advertise: true",
      `  authorization { user: ${quote(cluster.spiffeId)} }`,
      ...tlsBlock(cluster.tls, "  verify_and_map: true").map((line) => `  ${line}`),
      `  routes: [${cluster.routes.map((route) => quote(`nats://${hostPort(route)}`)).join(", ")}]`,
      "}",
    );
  }
  if (gateway !== undefined) {
    lines.push(
      "gateway {",
      `  name: ${quote(gateway.region)}`,
      `  host: ${quote(gateway.address)}`,
      `  port: ${gateway.port}`,
      ...(isElsewhere ? [`  advertise: ${quote(hostPort({ address: advertise, port: gateway.port }))}`] : []),
      // Only the regions named below may connect, not whoever holds a certificate of the federation.
      "  reject_unknown_cluster: true",
      ...tlsBlock(gateway.tls, "  verify: true").map((line) => `  ${line}`),
      "  gateways: [",
      ...[...new Set(gateway.peers.map(({ region }) => region))].map((region) => {
        const urls = gateway.peers.filter((peer) => peer.region === region).map((peer) => quote(`nats://${hostPort(peer)}`));
        return `    { name: ${quote(region)}, urls: [${urls.join(", ")}] }`;
      }),
      "  ]",
      "}",
    );
  }
  return `${lines.join("\n")}\n`;
}

function tlsBlock(tls: EngineTlsFiles, verification: string): readonly string[] {
  return [
    "tls {",
    `  cert_file: ${quote(tls.certificate)}`,
    `  key_file: ${quote(tls.privateKey)}`,
    `  ca_file: ${quote(tls.ca)}`,
    verification,
    "  timeout: 5",
    "}",
  ];
}

function userLine(user: NatsUser): string {
  const list = (subjects: readonly string[]): string => `[${subjects.map(quote).join(", ")}]`;
  return `    { user: ${quote(user.spiffeId)}, permissions: { publish: { allow: ${list(user.publish)} }, subscribe: { allow: ${list(user.subscribe)} }, ${responses} } }`;
}

function hostPort({ address, port }: NatsAddress): string {
  return `${address.includes(":") ? `[${address}]` : address}:${port}`;
}

/** A double-quoted string of NATS's configuration language; names with control characters have no place there. */
function quote(text: string): string {
  if (/\p{Cc}/u.test(text)) throw new RangeError("a NATS configuration value holds a control character");
  return `"${text.replaceAll("\\", "\\\\").replaceAll('"', '\\"')}"`;
}
