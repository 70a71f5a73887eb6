import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Bus } from "#federation/bus/bus.ts";
import { openNatsBus } from "#federation/bus/nats-bus.ts";
import { createKeyPair, exportPrivateKeyPem } from "#federation/identity/key-pair.ts";
import { chainPem } from "#federation/identity/pem.ts";
import { planeKeyPrefix } from "#federation/model/plane-store.ts";
import { sleep, systemClock } from "#federation/runtime/clock.ts";
import type { BusConfig, StoreConfig } from "#federation/runtime/engine-config.ts";
import { systemRandom } from "#federation/runtime/random.ts";
import { until, WatchedValue } from "#federation/runtime/watched.ts";
import { openEtcdStore } from "#federation/store/etcd-store.ts";
import type { Store } from "#federation/store/store.ts";
import { silentLogger } from "#federation/telemetry/logger.ts";
import { inboxPrefix } from "#services/cli/engines/nats-config.ts";
import { FederationKeys } from "#services/global/federation-keys.ts";
import { planeCertificate } from "#services/global/join/join-cluster.ts";
import { clusterResource } from "../bench-resources.ts";
import { exporter } from "./live-plan.ts";

const key = "hop";
/** Within what etcd lets the exporter write, beside what its plane keeps. */
const prefix = `${planeKeyPrefix(exporter)}/bench/`;
const subject = `atoll.up.${exporter}.bench`;

/**
 * What the way of a change costs with nothing of ours on it: a put into the exporter's etcd, the event of its watch, and
 * one message by NATS from there to the global plane's region. By the same client libraries, over the same engines.
 */
export class BareHop implements AsyncDisposable {
  readonly #store: Store;
  readonly #near: Bus;
  readonly #far: Bus;
  readonly #arrived = new WatchedValue(0);
  readonly #stop = new AbortController();
  readonly #tasks: Promise<unknown>[] = [];
  #sent = 0;

  private constructor(parts: { readonly store: Store; readonly near: Bus; readonly far: Bus }) {
    this.#store = parts.store;
    this.#near = parts.near;
    this.#far = parts.far;
  }

  /** Over the engines of the federation whose files are in `dataDir`; resolves when a first message has come through. */
  static async open(dataDir: string, signal: AbortSignal): Promise<BareHop> {
    const keys = FederationKeys.load(join(dataDir, "global"));
    const nowMs = systemClock.nowMs();
    const global = keys.issuePlane("127.0.0.1", nowMs);
    const ours = createKeyPair();
    const chain = keys.issue(planeCertificate(keys, { ...clusterResource(0), metadata: { name: exporter } }, ours.publicKey, nowMs));
    const tlsOf = (certificatePem: string, privateKeyPem: string) => () => ({ caPem: keys.rootPem, certificatePem, privateKeyPem });
    const exporterTls = tlsOf(chainPem(chain), exportPrivateKeyPem(ours.privateKey));
    const globalTls = tlsOf(global.certificateChainPem, global.privateKeyPem);
    const common = { clock: systemClock, random: systemRandom, logger: silentLogger };
    const { store, bus } = configOf(dataDir, `${exporter}-plane`);
    const hop = new BareHop({
      store: openEtcdStore({ ...common, endpoints: store.endpoints, tls: exporterTls, keyPrefix: prefix }),
      near: openNatsBus({ ...common, servers: bus.servers, name: exporter, inboxPrefix: inboxPrefix(exporter), tls: exporterTls }),
      far: openNatsBus({ ...common, servers: configOf(dataDir, "global").bus.servers, name: "bench", inboxPrefix: inboxPrefix("global"), tls: globalTls }),
    });
    hop.#run();
    // What is published before the other side's subscription is known at this server comes nowhere.
    while (hop.#arrived.current === 0) {
      await hop.#put(signal);
      await sleep(systemClock, 50, signal);
    }
    return hop;
  }

  /** One more; ms. */
  async once(signal: AbortSignal): Promise<number> {
    const startMs = systemClock.monotonicMs();
    const sent = await this.#put(signal);
    await until(this.#arrived, (arrived) => arrived >= sent, signal);
    return systemClock.monotonicMs() - startMs;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await Promise.allSettled(this.#tasks);
    await Promise.allSettled([this.#store, this.#near, this.#far].map((part) => part[Symbol.asyncDispose]()));
  }

  async #put(signal: AbortSignal): Promise<number> {
    const sent = ++this.#sent;
    await this.#store.commit({ conditions: [], writes: [{ kind: "put", key, value: Buffer.from(String(sent)) }] }, signal);
    return sent;
  }

  #run(): void {
    const { signal } = this.#stop;
    const carry = async (): Promise<void> => {
      for await (const { events } of this.#store.watch(key, signal)) {
        for (const event of events) if (event.kind === "put") this.#near.publish(subject, event.entry.value);
      }
    };
    const receive = async (): Promise<void> => {
      for await (const { payload } of this.#far.subscribe(subject, signal)) this.#arrived.set(Number(Buffer.from(payload).toString()));
    };
    this.#tasks.push(carry(), receive());
  }
}

function configOf(dataDir: string, plane: string): { readonly store: StoreConfig & { readonly kind: "etcd" }; readonly bus: BusConfig & { readonly kind: "nats" } } {
  return JSON.parse(readFileSync(join(dataDir, plane, "config.json"), "utf8")) as never;
}
