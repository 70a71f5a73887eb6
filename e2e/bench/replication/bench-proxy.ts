import { EventEmitter } from "node:events";
import type { SpiffeId } from "#federation/model/names.ts";
import { WatchedValue } from "#federation/runtime/watched.ts";
import type { DeltaRequest, DeltaResponse } from "#federation/wire/discovery-messages.ts";
import { resourceTypeUrls } from "#federation/wire/discovery-resources.ts";
import type { DiscoveryService } from "#services/cluster/discovery/discovery-service.ts";
import { benchTrustDomain, serviceName } from "./bench-resources.ts";

/** A proxy that subscribes to everything and acknowledges what it is told; nothing is encoded for a wire. */
export class BenchProxy {
  readonly #index: number;
  /** How many resources it was told, each as often as it was. */
  readonly told = new WatchedValue(0);
  /** Of how many services it was told. */
  readonly known = new WatchedValue(0);
  readonly #services = new Set<string>();

  constructor(index: number) {
    this.#index = index;
  }

  connect(discovery: DiscoveryService): void {
    const identity = `spiffe://${benchTrustDomain}/ns/web/sa/${serviceName(this.#index)}` as SpiffeId;
    const call = Object.assign(new EventEmitter(), {
      write: (response: DeltaResponse) => {
        if (response.typeUrl === resourceTypeUrls.service) for (const { name } of response.resources) this.#services.add(name);
        this.known.set(this.#services.size);
        this.told.set(this.told.current + response.resources.length);
        setImmediate(() => call.emit("data", request({ typeUrl: response.typeUrl, responseNonce: response.nonce })));
        return true;
      },
      end: () => undefined,
      destroy: () => undefined,
    });
    discovery.handler(() => ({ kind: "workload", identity }))(call as unknown as Parameters<ReturnType<DiscoveryService["handler"]>>[0]);
    const node = { id: `proxy-${this.#index}`, cluster: "", region: "", zone: "" };
    for (const typeUrl of [resourceTypeUrls.bundle, resourceTypeUrls.service, resourceTypeUrls.inbound]) call.emit("data", request({ node, typeUrl }));
  }
}

function request(over: Partial<DeltaRequest> & Pick<DeltaRequest, "typeUrl">): DeltaRequest {
  return { subscribe: [], unsubscribe: [], initialVersions: {}, responseNonce: "", ...over };
}
