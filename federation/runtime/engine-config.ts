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

/** The names among the addresses of a plane's engines; `whose` says whose they are, in words. Pure. */
export function engineNames({ store, bus }: { readonly store: StoreConfig; readonly bus: BusConfig }, whose: string): readonly DialledName[] {
  const etcd = store.kind === "etcd" ? dialledNames(store.endpoints.map(hostOfAddress), `etcd ${whose}`) : [];
  const nats = bus.kind === "nats" ? dialledNames(bus.servers.map(hostOfAddress), `NATS ${whose}`) : [];
  return [...etcd, ...nats];
}
