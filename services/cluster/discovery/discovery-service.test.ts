import { EventEmitter } from "node:events";
import { status, type ServerDuplexStream } from "@grpc/grpc-js";
import { beforeEach, describe, expect, it } from "vitest";
import type { SpiffeId } from "#federation/model/names.ts";
import type { Generation } from "#federation/model/snapshot.ts";
import { proxyReturnMs } from "#federation/model/proxy-return.ts";
import { VirtualClock } from "#federation/runtime/virtual-clock.ts";
import { WatchedValue } from "#federation/runtime/watched.ts";
import { silentLogger } from "#federation/telemetry/logger.ts";
import type { DeltaRequest, DeltaResponse } from "#federation/wire/discovery-messages.ts";
import { presenceRequest, type Presence } from "#federation/wire/discovery-presence.ts";
import { resourceTypeUrls } from "#federation/wire/discovery-resources.ts";
import { discoveryService } from "#federation/wire/grpc-services.ts";
import { streamNamesMax } from "#federation/wire/limits.ts";
import { callOnce } from "#federation/wire/stream-call-fixture.ts";
import { clusterState, service } from "../cluster-state-fixture.ts";
import type { ClusterState } from "../cluster-state.ts";
import { DiscoveryService, type HeldBy } from "./discovery-service.ts";

const identity = "spiffe://shop.example/ns/web/sa/storefront" as SpiffeId;
const identityMs = 3_600_000;
const key = "Service/web/storefront";
const first: Generation = { epoch: 1, revision: 1 };
const second: Generation = { epoch: 1, revision: 2 };
const request = (over: Partial<DeltaRequest>): DeltaRequest => ({ typeUrl: resourceTypeUrls.service, subscribe: [], unsubscribe: [], initialVersions: {}, responseNonce: "", ...over });

const deltaMethod = discoveryService.deltaAggregatedResources;

/** The plane's side of one stream, without its transport. */
class Link extends EventEmitter {
  readonly #sent: DeltaResponse[] = [];

  write(response: DeltaResponse): void {
    this.#sent.push(response);
  }

  end(): void {}

  say(over: Partial<DeltaRequest>): void {
    this.emit("data", request(over));
  }

  /** Takes everything that has come. */
  acknowledge(): void {
    for (const { nonce } of this.#sent.splice(0)) this.say({ responseNonce: nonce });
  }

  presence(presence: Presence): void {
    this.emit("data", presenceRequest(presence));
  }

  /** As an orderly end of the proxy, or as a link that is cut. */
  over(how: "end" | "cancelled"): void {
    this.emit(how);
    this.emit("close");
  }
}

describe("DiscoveryService", () => {
  let clock: VirtualClock;
  let state: WatchedValue<ClusterState>;
  let discovery: DiscoveryService;

  const connect = (id: string): Link => {
    const link = new Link();
    discovery.handler(() => ({ kind: "workload", identity }))(link as unknown as ServerDuplexStream<DeltaRequest, DeltaResponse>);
    link.say({ node: { id, cluster: "", region: "", zone: "" } });
    link.acknowledge();
    return link;
  };
  const seen = (generation: Generation): { readonly done: readonly string[]; readonly lost: HeldBy["lost"] } => {
    const { proxies, lost } = discovery.heldBy(key, generation);
    return { done: proxies.filter(({ standing }) => standing.kind === "acknowledged").map(({ name }) => name), lost };
  };
  /** A second form of the service; streams are told of it as `follow` tells them. */
  const change = async (): Promise<void> => {
    const port = { name: "more", port: 81, protocol: "http" } as const;
    const before = service("web", "storefront");
    state.set(clusterState({ services: new Map([["web/storefront", { ...before, spec: { ...before.spec, ports: [...before.spec.ports, port] } }]]), generations: new Map([[key, second]]) }));
    const stop = new AbortController();
    const following = discovery.follow(stop.signal);
    await clock.advance(0);
    stop.abort();
    await following;
  };

  beforeEach(async () => {
    clock = new VirtualClock();
    state = new WatchedValue(clusterState({ generations: new Map([[key, first]]) }));
    discovery = await DiscoveryService.open(state, { logger: silentLogger, clock, hadProxies: false, identityMs, onNack: () => {} });
  });

  it("tells a stranger that it may not subscribe", async () => {
    const outcome = await callOnce(deltaMethod, discovery.handler(() => undefined), [request({})]);
    expect(outcome).toMatchObject({ answers: 0, code: status.PERMISSION_DENIED, details: "this identity may not subscribe here" });
  });

  it("tells one that wants more names than it may", async () => {
    const asked = [0, 1, 2, 3].map((part) => request({ subscribe: Array.from({ length: streamNamesMax / 4 + 1 }, (_, index) => `name-${part}-${index}`) }));
    const outcome = await callOnce(deltaMethod, discovery.handler(() => ({ kind: "workload", identity })), asked);
    expect(outcome).toMatchObject({ code: status.RESOURCE_EXHAUSTED, details: `a stream subscribes to at most ${streamNamesMax} names` });
  });

  it("forgets a proxy at once that took its leave", async () => {
    const link = connect("sidecar");
    link.presence("stays");
    await change();
    link.presence("leaves");
    link.over("end");
    expect(seen(second)).toEqual({ done: [], lost: [] });
  });

  it("counts one that would have taken its leave for as long as its identity may hold, and knows what it had", async () => {
    const link = connect("sidecar");
    link.presence("stays");
    link.over("cancelled");
    expect(seen(first)).toEqual({ done: ["sidecar"], lost: [] });
    await change();
    await clock.advance(10 * proxyReturnMs);
    expect(seen(second)).toMatchObject({ done: [], lost: [{ name: "sidecar", ageMs: 10 * proxyReturnMs }] });
    await clock.advance(identityMs - 10 * proxyReturnMs - 1);
    expect(seen(second).lost).toHaveLength(1);
    await clock.advance(1);
    expect(seen(second)).toEqual({ done: [], lost: [] });
  });

  it("counts one of the version before for as long as it would come back", async () => {
    connect("sidecar").over("cancelled");
    await change();
    await clock.advance(proxyReturnMs - 1);
    expect(seen(second).lost).toHaveLength(1);
    await clock.advance(1);
    expect(seen(second).lost).toEqual([]);
  });

  it("knows one that is back by its name and identity, whatever its old stream does then", async () => {
    const before = connect("sidecar");
    before.presence("stays");
    before.over("cancelled");
    const again = connect("sidecar");
    again.presence("stays");
    await change();
    expect(seen(second)).toEqual({ done: [], lost: [] });
    again.acknowledge();
    expect(seen(second)).toEqual({ done: ["sidecar"], lost: [] });
    before.over("cancelled");
    again.presence("leaves");
    again.over("end");
    expect(seen(second)).toEqual({ done: [], lost: [] });
  });

  it("takes a leave that never came to its end for one, and a stream that ends without a leave for none", async () => {
    const left = connect("left");
    left.presence("stays");
    left.presence("leaves");
    left.over("cancelled");
    const cut = connect("cut");
    cut.presence("stays");
    cut.over("end");
    await change();
    expect(seen(second).lost).toMatchObject([{ name: "cut" }]);
  });
});
