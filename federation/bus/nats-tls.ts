import { checkServerIdentity, type PeerCertificate } from "node:tls";
import { bareHost } from "#federation/runtime/dns/host-name.ts";

/** One side of mutual TLS, as PEM. `caPem` may hold constrained anchors. */
export interface NatsTls {
  readonly caPem: string;
  readonly certificatePem: string;
  readonly privateKeyPem: string;
}

/** TLS options whose parts are read at every connection; nats.js passes what it does not know on to `tls.connect`. */
export function natsTlsOptions(read: () => NatsTls, servers: readonly string[]): object {
  const hosts = servers.map((server) => bareHost(new URL(server.includes("://") ? server : `nats://${server}`)));
  return {
    get ca() {
      return read().caPem;
    },
    get cert() {
      return read().certificatePem;
    },
    get key() {
      return read().privateKeyPem;
    },
    minVersion: "TLSv1.2",
    // For a literal address nats.js names no host and Node would check for "localhost". The certificate has to be
    // one of a server that we were told to use.
    checkServerIdentity(_host: string, certificate: PeerCertificate): Error | undefined {
      const failures = hosts.map((host) => checkServerIdentity(host, certificate));
      return failures.includes(undefined) ? undefined : failures[0];
    },
  };
}
