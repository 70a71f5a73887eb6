import { isIP } from "node:net";
import { experimental, Metadata, status, type ChannelOptions } from "@grpc/grpc-js";
import { parseAddress } from "#federation/identity/join-token.ts";
import type { Clock } from "#federation/runtime/clock.ts";
import type { NameLookup } from "#federation/runtime/dns/name-lookup.ts";

const scheme = "atoll-hosts";
/** Under this prefix grpc-js does not compare options to tell connections apart. */
const dialingKey = `${experimental.SUBCHANNEL_ARGS_EXCLUDE_KEY_PREFIX}.atoll-dialing`;
/** Between two look-ups, however often the channel asks. Ms. */
const pauseMs = 1_000;
/** Most addresses that one channel tries. */
const endpointsMax = 64;

/**
 * The target of a gRPC channel that dials `addresses` (`host:port`) in their order: literal addresses of both families and every
 * address of names. Channels ask again whenever a connection has ended, so that a plane that moves is found; grpc-js's own schemes
 * take addresses of one family, or one name.
 */
export function hostsTarget(addresses: readonly string[]): string {
  experimental.registerResolver(scheme, HostsResolver);
  return `${scheme}:${addresses.join(",")}`;
}

/** What a channel to named hosts needs. */
export interface Dialing {
  readonly clock: Clock;
  readonly lookup: NameLookup;
}

/** The channel options by which `hostsTarget` gets its parts. */
export function dialingOptions(dialing: Dialing): ChannelOptions {
  return { [dialingKey]: dialing };
}

class HostsResolver {
  readonly #hosts: readonly { readonly host: string; readonly port: number }[];
  readonly #listener: experimental.ResolverListener;
  readonly #dialing: Dialing;
  /** What each name stood for last: a look-up that fails takes nothing away. */
  readonly #held = new Map<string, readonly string[]>();
  #asking: AbortController | undefined;
  #pause: Disposable | undefined;
  #isWanted = false;
  /** What the channel was told last. Telling it the same again would make it forget how long to wait before it dials again. */
  #told: string | undefined;

  constructor(target: { readonly path: string }, listener: experimental.ResolverListener, options: ChannelOptions) {
    this.#hosts = target.path.split(",").flatMap((text) => parseAddress(text) ?? []);
    this.#listener = listener;
    this.#dialing = options[dialingKey] as Dialing;
  }

  static getDefaultAuthority(target: { readonly path: string }): string {
    return target.path.split(",")[0] ?? "";
  }

  updateResolution(): void {
    this.#isWanted = this.#asking !== undefined || this.#pause !== undefined;
    if (this.#isWanted) return;
    const asking = new AbortController();
    this.#asking = asking;
    void this.#ask(asking.signal);
  }

  destroy(): void {
    this.#asking?.abort();
    this.#asking = undefined;
    this.#pause?.[Symbol.dispose]();
    this.#pause = undefined;
    this.#told = undefined;
  }

  #rest(isWanted: boolean): void {
    this.#asking = undefined;
    this.#isWanted ||= isWanted;
    this.#pause = this.#dialing.clock.schedule(pauseMs, () => {
      this.#pause = undefined;
      if (this.#isWanted) this.updateResolution();
    });
  }

  async #ask(signal: AbortSignal): Promise<void> {
    const problems = await Promise.all(this.#hosts.map(({ host }) => this.#askName(host, signal)));
    if (signal.aborted) return;
    const endpoints = this.#hosts.flatMap(({ host, port }) => (this.#held.get(host) ?? []).map((address) => ({ addresses: [{ host: address, port }] }))).slice(0, endpointsMax);
    // Nobody asks again for a channel that has nothing to dial.
    this.#rest(endpoints.length === 0);
    const told = JSON.stringify(endpoints);
    if (endpoints.length > 0 && told === this.#told) return;
    this.#told = told;
    if (endpoints.length > 0) this.#listener(experimental.statusOrFromValue(endpoints), {}, null, "");
    else this.#listener(experimental.statusOrFromError({ code: status.UNAVAILABLE, details: problems.filter((problem) => problem !== undefined).join("; "), metadata: new Metadata() }), {}, null, "");
  }

  async #askName(host: string, signal: AbortSignal): Promise<string | undefined> {
    if (isIP(host) !== 0) {
      this.#held.set(host, [host]);
      return undefined;
    }
    const { v4, v6 } = await this.#dialing.lookup(host, signal);
    const addresses = [v4, v6].flatMap((family) => (family.kind === "found" ? family.addresses : []));
    // In an order of their own: an answer that is only rotated is the same.
    if (addresses.length > 0) this.#held.set(host, addresses.toSorted());
    return this.#held.has(host) ? undefined : `ATOLL_NAME_UNRESOLVED: ${host} does not resolve (${v4.kind === "failed" ? v4.reason : "no such name, or no address under it"})`;
  }
}
