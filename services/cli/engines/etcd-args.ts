import { join } from "node:path";
/** Files of one TLS identity: PEM, paths on this machine. */
export interface EngineTlsFiles {
  readonly certificate: string;
  readonly privateKey: string;
  /** Who may connect: the federation's root. */
  readonly ca: string;
}

/** Where `init` puts them below the federation's keys, for an engine's member or etcd's administrator. */
export function engineTlsFiles(keysDir: string, name: string): EngineTlsFiles {
  const engines = join(keysDir, "engines");
  return { certificate: join(engines, `${name}.pem`), privateKey: join(engines, `${name}.key`), ca: join(engines, "ca.pem") };
}

/** A member of a region's etcd as its peers know it. */
export interface EtcdPeer {
  readonly name: string;
  readonly address: string;
  readonly port: number;
}

/** One etcd member of a region's store. */
export interface EtcdOptions {
  readonly name: string;
  readonly dataDir: string;
  /** Literal address to listen on. */
  readonly address: string;
  /** By which clients and peers reach it, a DNS name perhaps; `address` unless given. */
  readonly advertise?: string;
  readonly clientPort: number;
  /** etcd insists on a peer listener; a member that stands alone has it on loopback. */
  readonly peerPort: number;
  readonly tls: EngineTlsFiles;
  /** A host name that the certificate of every client has to bear; absent: the federation's certificates are enough to be let in. */
  readonly clientHost?: string;
  /** Absent: it stands alone. */
  readonly cluster?: {
    /** Keeps apart what was never one cluster. */
    readonly token: string;
    /** Common name in the certificates of all members: whoever has another certificate of the federation is no peer. */
    readonly commonName: string;
    /** All members, this one among them. */
    readonly members: readonly EtcdPeer[];
  };
}

/** Revisions kept for watchers that were away; an older one lists anew. */
const keptRevisions = 10_000;

/**
 * Arguments of etcd 3.4 or newer for a member whose clients, and whose peers, prove themselves by certificate. The heartbeat
 * and election settings are etcd's own defaults, so its shortest lease is 2 s and members belong into one region.
 * @see https://etcd.io/docs/v3.4/op-guide/configuration/
 */
export function etcdArguments(options: EtcdOptions): readonly string[] {
  const { address, advertise = address, clientPort, peerPort, tls, clientHost, cluster } = options;
  const peerOn = (host: string): string => (cluster === undefined ? `http://127.0.0.1:${peerPort}` : `https://${hostOf(host)}:${peerPort}`);
  return [
    `--name=${options.name}`,
    `--data-dir=${options.dataDir}`,
    `--listen-client-urls=https://${hostOf(address)}:${clientPort}`,
    `--advertise-client-urls=https://${hostOf(advertise)}:${clientPort}`,
    `--listen-peer-urls=${peerOn(address)}`,
    `--initial-advertise-peer-urls=${peerOn(advertise)}`,
    ...(cluster === undefined
      ? [`--initial-cluster=${options.name}=${peerOn(advertise)}`]
      : [
          `--initial-cluster=${cluster.members.map(({ name, address, port }) => `${name}=https://${hostOf(address)}:${port}`).join(",")}`,
          `--initial-cluster-token=${cluster.token}`,
          "--peer-client-cert-auth",
          `--peer-cert-file=${tls.certificate}`,
          `--peer-key-file=${tls.privateKey}`,
          `--peer-trusted-ca-file=${tls.ca}`,
          `--peer-cert-allowed-cn=${cluster.commonName}`,
        ]),
    "--client-cert-auth",
    ...(clientHost === undefined ? [] : [`--client-cert-allowed-hostname=${clientHost}`]),
    // It speaks to etcd by etcd's own certificate, and who is a user of etcd is told from certificates.
    "--enable-grpc-gateway=false",
    `--cert-file=${tls.certificate}`,
    `--key-file=${tls.privateKey}`,
    `--trusted-ca-file=${tls.ca}`,
    "--auto-compaction-mode=revision",
    `--auto-compaction-retention=${keptRevisions}`,
    "--logger=zap",
    "--log-level=info",
  ];
}

function hostOf(address: string): string {
  return address.includes(":") ? `[${address}]` : address;
}
