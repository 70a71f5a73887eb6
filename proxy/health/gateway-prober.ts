import type { ClusterId, SpiffeId } from "#federation/model/names.ts";
import type { GatewayAddress, Snapshot } from "#federation/model/snapshot.ts";
import { trustDomainOf } from "#federation/model/spiffe-id.ts";
import { unreachedMax, unreachedMsMin, type UnreachedCluster } from "#federation/model/unreached-cluster.ts";
import type { Clock } from "#federation/runtime/clock.ts";
import type { Random } from "#federation/runtime/random.ts";
import type { Logger } from "#federation/telemetry/logger.ts";
import type { AddressLoad } from "../upstream/address-load.ts";
import type { Connector, UpstreamTarget } from "../upstream/connector.ts";
import { GatewayLink } from "./gateway-link.ts";
import type { LocalStall } from "./local-stall.ts";
import type { PlaceHealth } from "../upstream/place-health.ts";

/** One gateway as the admin page shows it. */
export interface GatewayStatus {
  readonly cluster: ClusterId;
  readonly address: string;
  readonly port: number;
  readonly answers: boolean;
  /** It has announced that it drains, and none has answered at its address since. */
  readonly leaving: boolean;
  readonly roundTripMs: number | undefined;
  readonly pings: number;
  readonly unanswered: number;
}

/** Connections by the address that they lead to, whatever they carry. */
export interface AddressPools {
  pools(): readonly { readonly target: UpstreamTarget; readonly load: AddressLoad; readonly pingsInBand: boolean }[];
  /** Its gateway does not answer: what leads there is not relied on until it speaks. */
  doubtAddress(address: string, port: number): void;
  /** Its gateway will end: what is new goes elsewhere where it can. */
  drainAddress(address: string, port: number): void;
  /** A gateway that stays answers there again. */
  restoreAddress(address: string, port: number): void;
}

export interface GatewayProberOptions {
  readonly connector: Connector;
  readonly pools: AddressPools;
  readonly places: Pick<PlaceHealth, "viewpoint" | "setViewpoint" | "pingAnswered" | "pingUnanswered" | "setLeaving" | "addressesChanged">;
  readonly clock: Clock;
  readonly stall: LocalStall;
  readonly random: Random;
  readonly logger: Logger;
}

interface Probed {
  readonly cluster: ClusterId;
  readonly gateway: GatewayAddress;
  readonly link: GatewayLink;
}

/** A round trip that moved by less than either would only make new orders of the same places. */
const roundTripChangeRatio = 0.1;
const roundTripChangeMs = 1;

/** The reserved name of a cluster's gateway. */
export function gatewayPingSni(cluster: ClusterId, gatewayIdentity: SpiffeId): string {
  return `gateway.${cluster}.atoll.${trustDomainOf(gatewayIdentity)}`;
}

/**
 * Keeps a ping connection to every gateway that the snapshot names. One that falls silent or resets loses its pools at
 * once, so that requests waiting there go elsewhere, and when no gateway of a cluster answers any more, the cluster's places
 * are lowered until one does. One that announces its end loses nothing that is under way: what is new goes to the others,
 * or to other places.
 */
export class GatewayProber {
  readonly #options: GatewayProberOptions;
  readonly #probed = new Map<string, Probed>();

  constructor(options: GatewayProberOptions) {
    this.#options = options;
  }

  /** Takes over the gateways of `snapshot`. */
  follow(snapshot: Snapshot): void {
    const wanted = new Map<string, { readonly cluster: ClusterId; readonly gateway: GatewayAddress; readonly identity: SpiffeId }>();
    for (const view of snapshot.services.values()) {
      for (const place of view.places) {
        if (place.kind === "local") continue;
        for (const gateway of place.gateways) {
          const key = `${place.cluster}|${place.gatewayIdentity}|${gateway.address}|${gateway.port}`;
          wanted.set(key, { cluster: place.cluster, gateway, identity: place.gatewayIdentity });
        }
      }
    }
    for (const [key, probed] of this.#probed) {
      if (wanted.has(key)) continue;
      probed.link.close();
      this.#probed.delete(key);
      if (probed.link.leaving) this.#options.pools.restoreAddress(probed.gateway.address, probed.gateway.port);
    }
    for (const [key, { cluster, gateway, identity }] of wanted) {
      if (!this.#probed.has(key)) this.#probed.set(key, { cluster, gateway, link: this.#openLink(cluster, gateway, identity) });
      this.#noteLeaving(cluster);
    }
  }

  get gateways(): readonly GatewayStatus[] {
    return Array.from(this.#probed.values(), ({ cluster, gateway, link }) => ({
      cluster,
      ...gateway,
      answers: link.answers,
      leaving: link.leaving,
      roundTripMs: link.roundTripMs,
      pings: link.pings,
      unanswered: link.unanswered,
    }));
  }

  /** The clusters of which no gateway answers, and has not for a while. O(gateways). */
  get unreached(): readonly UnreachedCluster[] {
    const nowMs = this.#options.clock.monotonicMs();
    const silentMs = new Map<ClusterId, number>();
    for (const { cluster, link: { silentSinceMs = nowMs } } of this.#probed.values()) silentMs.set(cluster, Math.min(silentMs.get(cluster) ?? Infinity, Math.floor(nowMs - silentSinceMs)));
    return [...silentMs].flatMap(([cluster, forMs]) => (forMs < unreachedMsMin ? [] : [{ cluster, forMs }])).slice(0, unreachedMax);
  }

  close(): void {
    for (const { link } of this.#probed.values()) link.close();
    this.#probed.clear();
  }

  #openLink(cluster: ClusterId, gateway: GatewayAddress, identity: SpiffeId): GatewayLink {
    const { connector, clock, stall, random, pools, places, logger } = this.#options;
    const { address, port } = gateway;
    const facts = { clusterId: cluster, address, port };
    return new GatewayLink({
      target: { address, port, sni: gatewayPingSni(cluster, identity), identities: [identity] },
      connector,
      clock,
      stall,
      random,
      inFlight: () => this.#inFlightTo(gateway),
      events: {
        onPong: () => {
          places.pingAnswered(cluster);
          this.#noteLeaving(cluster);
          this.#noteRoundTrip(cluster);
        },
        onBroken: (cause) => {
          logger.warn("A gateway does not answer.", { ...facts, cause });
          // First, so that what the doubt sets free does not come back.
          if (!this.#isAnswered(cluster)) places.pingUnanswered(cluster);
          this.#noteLeaving(cluster);
          // A refusal says nothing of connections that exist: a gateway that drains refuses new ones and serves those.
          if (cause !== "refused") pools.doubtAddress(address, port);
        },
        onLeaving: () => {
          logger.info("A gateway drains.", facts);
          pools.drainAddress(address, port);
          places.addressesChanged();
          this.#noteLeaving(cluster);
        },
        onReturned: () => {
          logger.info("A gateway that had drained answers again.", facts);
          pools.restoreAddress(address, port);
          places.addressesChanged();
          this.#noteLeaving(cluster);
        },
      },
    });
  }

  #inFlightTo(gateway: GatewayAddress): number {
    for (const pool of this.#options.pools.pools()) {
      if (pool.target.address === gateway.address && pool.target.port === gateway.port && !pool.pingsInBand) return pool.load.inFlight;
    }
    return 0;
  }

  #isAnswered(cluster: ClusterId): boolean {
    return this.#linksOf(cluster).some((link) => link.answers);
  }

  /** A cluster's places are left when those of its gateways that answer are all about to end, or have. */
  #noteLeaving(cluster: ClusterId): void {
    const links = this.#linksOf(cluster);
    this.#options.places.setLeaving(cluster, links.some((link) => link.leaving) && links.every((link) => link.leaving || !link.answers));
  }

  /** Publishes the round trip to the cluster's nearest gateway when it has moved: each new viewpoint makes new orders. */
  #noteRoundTrip(cluster: ClusterId): void {
    const { places } = this.#options;
    const nearestMs = this.#nearestMs(cluster);
    const { viewpoint } = places;
    const knownMs = viewpoint.roundTripMs.get(cluster);
    const changeMs = knownMs === undefined ? Number.POSITIVE_INFINITY : Math.abs(knownMs - nearestMs);
    if (changeMs < roundTripChangeMs || (knownMs !== undefined && changeMs < knownMs * roundTripChangeRatio)) return;
    places.setViewpoint({ ...viewpoint, roundTripMs: new Map(viewpoint.roundTripMs).set(cluster, nearestMs) });
  }

  #nearestMs(cluster: ClusterId): number {
    return Math.min(...this.#linksOf(cluster).flatMap((link) => (link.answers ? (link.roundTripMs ?? []) : [])));
  }

  #linksOf(cluster: ClusterId): readonly GatewayLink[] {
    return [...this.#probed.values()].filter((probed) => probed.cluster === cluster).map((probed) => probed.link);
  }
}
