import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { credentials, loadPackageDefinition, Metadata, type ChannelOptions, type Client, type ClientDuplexStream, type ServiceClientConstructor } from "@grpc/grpc-js";
import { loadSync } from "@grpc/proto-loader";
import { Etcd3 } from "etcd3";
import type { Clock } from "#federation/runtime/clock.ts";

/** One side of mutual TLS, as PEM. `caPem` may hold constrained anchors. */
export interface EtcdTls {
  readonly caPem: string;
  readonly certificatePem: string;
  readonly privateKeyPem: string;
}

/** An event as etcd sends it; numbers of 64 bits are strings. */
export interface RawWatchEvent {
  readonly type: "Put" | "Delete";
  readonly kv: { readonly key: Buffer; readonly value: Buffer; readonly mod_revision: string; readonly create_revision: string };
}

/** An answer on a watch stream. */
export interface RawWatchResponse {
  readonly header: { readonly cluster_id: string; readonly revision: string } | null;
  readonly created: boolean;
  readonly canceled: boolean;
  readonly compact_revision: string;
  readonly cancel_reason: string;
  /** More of the same answer follows. */
  readonly fragment: boolean;
  readonly events: readonly RawWatchEvent[];
}

export type WatchStream = ClientDuplexStream<object, RawWatchResponse>;

/** The connections to one etcd member: etcd3 for keys, transactions and leases, a stream of our own for watches. */
export interface EtcdMember extends Disposable {
  readonly endpoint: string;
  readonly client: Etcd3;
  openWatch(): WatchStream;
}

/**
 * A half-open connection is noticed after 10 s + 3 s. Pings more often than every 5 s would make etcd cut the
 * connection (its `--grpc-keepalive-min-time`).
 */
const channelOptions: ChannelOptions = {
  "grpc.keepalive_time_ms": 10_000,
  "grpc.keepalive_timeout_ms": 3_000,
  "grpc.keepalive_permit_without_calls": 1,
  "grpc.initial_reconnect_backoff_ms": 100,
  "grpc.min_reconnect_backoff_ms": 100,
  // Planes are few, and wait for nothing as much as for their store's return.
  "grpc.max_reconnect_backoff_ms": 400,
  // An endpoint may be a name: each lost connection has it looked up again, not only every 30 s.
  "grpc.dns_min_time_between_resolutions_ms": 1_000,
  // Above etcd's own bound for one request (1.5 MiB), with many keys in one page or fragment.
  "grpc.max_receive_message_length": 64 * 1024 * 1024,
};

/** Passes everything through: etcd3's retries could repeat a write whose outcome is unknown, and its circuit breaker would stay open for 5 s after a restart. */
const noPolicy = {
  onSuccess: () => ({ dispose() {} }),
  onFailure: () => ({ dispose() {} }),
  // Async, so that what the work throws becomes a rejection: etcd3 reports broken streams that way.
  execute: async <T>(work: (context: { readonly signal: AbortSignal }) => T | PromiseLike<T>, signal?: AbortSignal): Promise<T> =>
    work({ signal: signal ?? new AbortController().signal }),
};

/** Opens the connections to the member at `endpoint` (`https://host:port`); nothing is sent before the first use. */
export function openEtcdMember(endpoint: string, tls: EtcdTls | undefined, clock: Clock, operationTimeoutMs: number): EtcdMember {
  const pem = tls === undefined ? undefined : { ca: Buffer.from(tls.caPem), key: Buffer.from(tls.privateKeyPem), certificate: Buffer.from(tls.certificatePem) };
  const client = new Etcd3({
    hosts: endpoint,
    grpcOptions: channelOptions,
    ...(pem === undefined ? {} : { credentials: { rootCertificate: pem.ca, privateKey: pem.key, certChain: pem.certificate } }),
    // The deadline makes gRPC itself give the call up; a stream has its own end.
    defaultCallOptions: (context) => (context.isStream ? {} : { deadline: clock.nowMs() + operationTimeoutMs }),
    faultHandling: { host: () => noPolicy as never, global: noPolicy as never },
  });
  const channelCredentials = pem === undefined ? credentials.createInsecure() : credentials.createSsl(pem.ca, pem.key, pem.certificate);
  const watchClient = new (watchService())(endpoint.replace(/^https?:\/\//, ""), channelCredentials, channelOptions);
  return {
    endpoint,
    client,
    openWatch: () => callWatch(watchClient),
    [Symbol.dispose]() {
      client.close();
      watchClient.close();
    },
  };
}

/** The Watch service of etcd's own rpc.proto, which etcd3 ships. */
function watchService(): ServiceClientConstructor {
  const proto = join(dirname(createRequire(import.meta.url).resolve("etcd3/package.json")), "proto", "rpc.proto");
  const loaded = loadPackageDefinition(loadSync(proto, { keepCase: true, longs: String, enums: String, defaults: true, oneofs: true }));
  const etcdserverpb = loaded["etcdserverpb"] as unknown as Readonly<Record<string, ServiceClientConstructor>>;
  const service = etcdserverpb["Watch"];
  if (service === undefined) throw new Error("etcd's rpc.proto has no Watch service");
  return service;
}

/**
 * A member that is cut from its peers goes on to answer clients, and has nothing to tell a watch for as long as that lasts. This has it end
 * the stream after three election timeouts without a leader. @see https://pkg.go.dev/go.etcd.io/etcd/client/v3#WithRequireLeader
 */
function callWatch(client: Client): WatchStream {
  const metadata = new Metadata();
  metadata.set("hasleader", "true");
  return (client as Client & { Watch(metadata: Metadata): WatchStream }).Watch(metadata);
}
