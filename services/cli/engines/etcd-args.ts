/** Files of one TLS identity: PEM, paths on this machine. */
export interface EngineTlsFiles {
  readonly certificate: string;
  readonly privateKey: string;
  /** Who may connect: the federation's root. */
  readonly ca: string;
}

/** One etcd member that stands alone: a region's store. */
export interface EtcdOptions {
  readonly name: string;
  readonly dataDir: string;
  /** Literal address and port for clients. */
  readonly address: string;
  readonly clientPort: number;
  /** etcd insists on a peer listener; with one member it stays on loopback. */
  readonly peerPort: number;
  readonly tls: EngineTlsFiles;
}

/** Revisions kept for watchers that were away; an older one lists anew. */
const keptRevisions = 10_000;

/**
 * Arguments of etcd 3.4 or newer for a single member whose clients prove themselves by certificate. The heartbeat
 * and election settings are etcd's own defaults, so its shortest lease is 2 s.
 * @see https://etcd.io/docs/v3.4/op-guide/configuration/
 */
export function etcdArguments(options: EtcdOptions): readonly string[] {
  const client = `https://${hostOf(options.address)}:${options.clientPort}`;
  const peer = `http://127.0.0.1:${options.peerPort}`;
  return [
    `--name=${options.name}`,
    `--data-dir=${options.dataDir}`,
    `--listen-client-urls=${client}`,
    `--advertise-client-urls=${client}`,
    `--listen-peer-urls=${peer}`,
    `--initial-advertise-peer-urls=${peer}`,
    `--initial-cluster=${options.name}=${peer}`,
    "--client-cert-auth",
    `--cert-file=${options.tls.certificate}`,
    `--key-file=${options.tls.privateKey}`,
    `--trusted-ca-file=${options.tls.ca}`,
    "--auto-compaction-mode=revision",
    `--auto-compaction-retention=${keptRevisions}`,
    "--logger=zap",
    "--log-level=info",
  ];
}

function hostOf(address: string): string {
  return address.includes(":") ? `[${address}]` : address;
}
