import { listField, stringField, variantField, type Field } from "./config.ts";
import { dialledNames, hostOfAddress, type DialledName } from "./dns/dialled-names.ts";

/** Which store a plane runs on. */
export type StoreConfig = { readonly kind: "sqlite" } | { readonly kind: "etcd"; readonly endpoints: readonly string[] };

/** Which bus a plane runs on. */
export type BusConfig = { readonly kind: "socket"; readonly path: string } | { readonly kind: "nats"; readonly servers: readonly string[] };

/** Addresses of one engine in a plane's configuration. */
export const engineAddressesMax = 16;

const httpsUrl = stringField({ pattern: /^https:\/\//, expected: "an https:// address: etcd is spoken to over mutual TLS only" });
const tlsUrl = stringField({ pattern: /^tls:\/\//, expected: "a tls:// address: NATS is spoken to over mutual TLS only" });

/** `{"kind":"sqlite"}` (a file in the data directory) or `{"kind":"etcd","endpoints":["https://…"]}`. */
export const storeField: Field<StoreConfig> = variantField("kind", { sqlite: {}, etcd: { endpoints: listField(httpsUrl, { min: 1, max: engineAddressesMax }) } });

/** `{"kind":"socket","path":"…"}` (the embedded hub) or `{"kind":"nats","servers":["tls://…"]}`. */
export const busField: Field<BusConfig> = variantField("kind", {
  socket: { path: stringField() },
  nats: { servers: listField(tlsUrl, { min: 1, max: engineAddressesMax }) },
});

/** Where one of a plane's engines is dialled. */
export interface EngineAddress {
  readonly engine: "etcd" | "nats";
  /** As it is configured. */
  readonly address: string;
  readonly host: string;
  readonly port: number;
}

/** What a client dials where an address says no port. */
const usualPort = { etcd: 2379, nats: 4222 } as const;

/** Where a plane's engines are dialled; none where they are embedded. Pure. */
export function engineAddresses({ store, bus }: { readonly store: StoreConfig; readonly bus: BusConfig }): readonly EngineAddress[] {
  const of = (engine: EngineAddress["engine"], addresses: readonly string[]): readonly EngineAddress[] =>
    addresses.map((address) => ({ engine, address, host: hostOfAddress(address), port: Number(/:(\d+)(?:[/?].*)?$/.exec(address)?.[1] ?? usualPort[engine]) }));
  return [...(store.kind === "etcd" ? of("etcd", store.endpoints) : []), ...(bus.kind === "nats" ? of("nats", bus.servers) : [])];
}

/** The names among the addresses of a plane's engines; `whose` says whose they are, in words. Pure. */
export function engineNames({ store, bus }: { readonly store: StoreConfig; readonly bus: BusConfig }, whose: string): readonly DialledName[] {
  const etcd = store.kind === "etcd" ? dialledNames(store.endpoints.map(hostOfAddress), `etcd ${whose}`) : [];
  const nats = bus.kind === "nats" ? dialledNames(bus.servers.map(hostOfAddress), `NATS ${whose}`) : [];
  return [...etcd, ...nats];
}
