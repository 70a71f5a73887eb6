import type { Client } from "@grpc/grpc-js";
import { isIP } from "node:net";
import { parseAddress } from "#federation/identity/join-token.ts";
import type { X509Svid } from "#federation/identity/svid.ts";
import { AtollError } from "#federation/runtime/errors.ts";
import type { Random } from "#federation/runtime/random.ts";
import { sleepUntil } from "#federation/runtime/sleep-until.ts";
import { WatchedValue, type Watched } from "#federation/runtime/watched.ts";
import { WayBack, type LookedAt, type WayBackTimes } from "#federation/runtime/way-back.ts";
import type { Logger } from "#federation/telemetry/logger.ts";
import { createPlaneClient, type Plane, type PlaneDialing } from "./plane-link.ts";

/** The way to the plane of whatever lasts longer than one connection. */
export interface PlaneDial {
  /** To be asked for each stream anew, and never closed by who asks. @throws {ATOLL_PEER_UNAVAILABLE} before there is a plane */
  client(): Client;
  /** A stream is begun. Where nothing comes of that for some seconds, what it waits for may lead nowhere. */
  opening(): void;
  /** The plane has said something. */
  answered(): void;
  /** A stream has ended that was not to. */
  failed(): void;
  /** Ends after `delayMs`, or once another client has taken the place of the present one. @throws {ATOLL_ABORTED} */
  pause(delayMs: number, signal: AbortSignal): Promise<void>;
}

export interface PlaneConnectionOptions {
  readonly plane: Watched<Plane | undefined>;
  readonly svid: () => X509Svid | undefined;
  readonly dialing: PlaneDialing;
  readonly random: Random;
  readonly logger: Logger;
  readonly times?: PlaneConnectionTimes;
}

/** In ms. */
export interface PlaneConnectionTimes extends WayBackTimes {
  /** A stream of which nothing was heard for so long after its beginning may wait for a connection that leads nowhere. */
  readonly quietMs: number;
}

/**
 * Thousands of proxies look at one plane, and come back together: a look costs a packet while nothing gets through, and how far looks are
 * apart, give or take a half, is how far they come back apart. A new connection may wait long for its turn at a plane to which all come.
 */
const defaultTimes: PlaneConnectionTimes = { lookMs: 1_500, silentMs: 2_000, dialMs: 10_000, quietMs: 5_000 };

/**
 * The one client of a proxy's plane, in whose place another comes when the plane is another, or when packets were dropped and now get
 * through: the kernel asks ever more rarely for a connection that is being made (`WayBack`), and gRPC waits for that one.
 */
export class PlaneConnection implements PlaneDial, Disposable {
  readonly #options: PlaneConnectionOptions;
  readonly #times: PlaneConnectionTimes;
  readonly #dials = new WatchedValue(0);
  #dialed: { readonly plane: Plane; readonly client: Client; readonly wayBack: WayBack } | undefined;
  #quiet: Disposable | undefined;

  constructor(options: PlaneConnectionOptions) {
    this.#options = options;
    this.#times = options.times ?? defaultTimes;
  }

  client(): Client {
    const plane = this.#options.plane.current;
    if (plane === undefined) throw new AtollError("ATOLL_PEER_UNAVAILABLE", "the proxy has not joined a plane yet");
    if (this.#dialed?.plane !== plane) this.#dial(plane);
    return (this.#dialed as { readonly client: Client }).client;
  }

  opening(): void {
    this.#quiet?.[Symbol.dispose]();
    this.#quiet = this.#options.dialing.clock.schedule(this.#times.quietMs, () => {
      this.failed();
      // Also of the connection that comes next.
      this.opening();
    });
  }

  answered(): void {
    this.#quiet?.[Symbol.dispose]();
    this.#dialed?.wayBack.answered();
  }

  failed(): void {
    this.#dialed?.wayBack.failed();
  }

  async pause(delayMs: number, signal: AbortSignal): Promise<void> {
    const before = this.#dials.current;
    await sleepUntil(this.#options.dialing.clock, delayMs, this.#dials, (dials) => dials !== before, signal);
  }

  [Symbol.dispose](): void {
    this.#quiet?.[Symbol.dispose]();
    this.#dialed?.wayBack[Symbol.dispose]();
    this.#dialed?.client.close();
    this.#dialed = undefined;
  }

  #dial(plane: Plane): void {
    const { random, logger, svid, dialing } = this.#options;
    this[Symbol.dispose]();
    const redial = (): void => {
      if (this.#dialed?.wayBack !== wayBack) return;
      logger.info("The plane can be reached again, and the connection that was being made to it leads nowhere: another takes its place.");
      this.#dialed.client.close();
      this.#dialed = { plane, client: createPlaneClient(plane, svid, dialing), wayBack };
      this.#dials.set(this.#dials.current + 1);
    };
    const wayBack = new WayBack({ members: (signal) => this.#members(plane, signal), onlyAfterSilence: true, clock: dialing.clock, random, redial, times: this.#times });
    this.#dialed = { plane, client: createPlaneClient(plane, svid, dialing), wayBack };
    this.#dials.set(this.#dials.current + 1);
  }

  async #members({ addresses }: Plane, signal: AbortSignal): Promise<readonly LookedAt[]> {
    const found = await Promise.all(
      addresses.map(async (address) => {
        const parsed = parseAddress(address);
        if (parsed === undefined) return [];
        const { host, port } = parsed;
        if (isIP(host) !== 0) return [parsed];
        const { v4, v6 } = await this.#options.dialing.lookup(host, signal);
        return [v4, v6].flatMap((family) => (family.kind === "found" ? family.addresses.map((each) => ({ host: each, port })) : []));
      }),
    );
    return found.flat();
  }
}
