import { AsyncQueue } from "#federation/runtime/async-queue.ts";
import { deadlineSignal, type Clock } from "#federation/runtime/clock.ts";
import { AtollError, describeError } from "#federation/runtime/errors.ts";
import { isAbort, untilAborted } from "#federation/runtime/lifecycle.ts";
import { jittered, type Random } from "#federation/runtime/random.ts";
import type { Logger } from "#federation/telemetry/logger.ts";
import type { DeltaRequest, DiscoveryFault, DiscoveryNode, ReceivedDeltaResponse } from "#federation/wire/discovery-messages.ts";
import type { ResourceTypeUrl } from "#federation/wire/discovery-resources.ts";
import { isPart } from "#federation/wire/discovery-parts.ts";
import { presenceRequest } from "#federation/wire/discovery-presence.ts";
import { discoveryClientMethod, openStream } from "#federation/wire/grpc-services.ts";
import { HeldResources } from "./held-resources.ts";
import type { PlaneDial } from "./plane-connection.ts";
import { RefusedResources, type SnapshotBuilder } from "./snapshot-builder.ts";

/** Counters of discovery and its freshness. */
export interface DiscoveryStats {
  connected: boolean;
  streams: number;
  acks: number;
  nacks: number;
  lastNack: string;
  /** Wall-clock ms at which the plane last said anything, in this life of the process or, from disk, an earlier one. */
  asOfMs: number;
}

export function createDiscoveryStats(): DiscoveryStats {
  return { connected: false, streams: 0, acks: 0, nacks: 0, lastNack: "", asOfMs: 0 };
}

/** What to subscribe to: names, or everything of the type. */
export type Subscription = { readonly typeUrl: ResourceTypeUrl; readonly names: readonly string[] | "all" };

export interface DiscoveryClientOptions {
  readonly plane: PlaneDial;
  readonly node: DiscoveryNode;
  /** A name that this process alone has, and keeps: by it a plane knows a broken link from a new start. */
  readonly process: string;
  readonly subscriptions: readonly Subscription[];
  readonly builder: SnapshotBuilder;
  readonly stats: DiscoveryStats;
  /** Called once, when every subscribed type has been answered for the first time. */
  readonly onLevel: () => void;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
}

const retryMsMin = 250;
const retryMsMax = 15_000;
/** At most one response of each type is on its way, so this is never reached by a correct plane. */
const responsesWaitingMax = 64;
/** How long the plane may take to hear that we leave; a link that has just broken holds up our end for no longer. */
const leaveMsMax = 500;
/** google.rpc.Code INVALID_ARGUMENT: what a refused response is answered with. */
const invalidArgument = 3;

/**
 * Keeps one delta ADS stream to the plane open and applies what comes. After a break it says which versions it holds, so
 * that only what changed is sent. A response that cannot be applied is refused, and the last good state stays. When `signal`
 * aborts, which is the proxy's orderly end, it takes its leave of the plane.
 */
export async function runDiscovery(options: DiscoveryClientOptions, signal: AbortSignal): Promise<void> {
  const answered = new Set<string>();
  let failures = 0;
  while (!signal.aborted) {
    const before = options.stats.acks;
    try {
      await runStream(options, answered, signal);
    } catch (error) {
      if (signal.aborted) return;
      options.plane.failed();
      options.logger.warn("The discovery stream broke; the last good state stays.", { reason: describeError(error) });
    } finally {
      // While the stream lived, what is held was what the plane says.
      if (options.stats.connected) options.stats.asOfMs = options.clock.nowMs();
      options.stats.connected = false;
    }
    failures = options.stats.acks > before ? 1 : failures + 1;
    try {
      await options.plane.pause(jittered(options.random, Math.min(retryMsMax, retryMsMin * 2 ** Math.min(failures - 1, 10)), 0.3), signal);
    } catch (error) {
      if (isAbort(error)) return;
      throw error;
    }
  }
}

async function runStream(options: DiscoveryClientOptions, answered: Set<string>, signal: AbortSignal): Promise<void> {
  const { builder, stats, clock } = options;
  const ended = new AbortController();
  const stream = openStream(options.plane.client(), discoveryClientMethod, ended.signal);
  const over = new Promise<void>((resolve) => stream.once("status", () => resolve()));
  const responses = new AsyncQueue<ReceivedDeltaResponse>({
    capacity: responsesWaitingMax,
    onDrop: () => responses.fail(new AtollError("ATOLL_WIRE_TOO_LARGE", "the plane sends responses without waiting for answers")),
  });
  stream.on("data", (response: ReceivedDeltaResponse) => {
    stats.connected = true;
    options.plane.answered();
    responses.push(response);
  });
  stream.on("error", (error) => responses.fail(error));
  stream.on("end", () => responses.end());
  try {
    stats.streams++;
    options.plane.opening();
    const held = subscribe(options, (request) => stream.write(request));
    for await (const response of responses.drain(signal)) {
      const known = held.get(response.typeUrl);
      const refusal = await refusalOf(builder, known?.completed(response) ?? response);
      stats.asOfMs = clock.nowMs();
      if (refusal === undefined) {
        stats.acks++;
        known?.taken(response);
        if (!isPart(response)) answered.add(response.typeUrl);
        if (answered.size === options.subscriptions.length) {
          // Told once: the set grows past the number of types only here.
          answered.add("level");
          options.onLevel();
        }
      } else {
        stats.nacks++;
        stats.lastNack = refusal.message;
        options.logger.error("A discovery response was refused; the last good state stays.", { typeUrl: response.typeUrl, reason: refusal.message });
      }
      stream.write({
        typeUrl: response.typeUrl,
        subscribe: [],
        unsubscribe: [],
        initialVersions: {},
        responseNonce: response.nonce,
        ...(refusal === undefined ? {} : { fault: refusal }),
      });
    }
  } finally {
    if (signal.aborted && stats.connected) await leave(stream, over, clock);
    ended.abort();
  }
}

/** Says that this proxy leaves, and waits, not for long, until the plane has heard it: it ends its side then. */
async function leave(stream: Pick<ReturnType<typeof openStream<DeltaRequest, ReceivedDeltaResponse>>, "write" | "end">, over: Promise<void>, clock: Clock): Promise<void> {
  stream.write(presenceRequest("leaves"));
  stream.end();
  using bound = deadlineSignal(clock, leaveMsMax, new AbortController().signal);
  await Promise.race([over, untilAborted(bound.signal)]);
}

/** Answers, by type, what is held as the stream begins. */
function subscribe(options: DiscoveryClientOptions, write: (request: Parameters<typeof discoveryClientMethod.requestSerialize>[0]) => unknown): ReadonlyMap<string, HeldResources> {
  const { versions } = options.builder.current;
  const held = new Map(options.subscriptions.map(({ typeUrl }) => [typeUrl as string, new HeldResources(versions[typeUrl])]));
  // First: what is sent to a proxy that comes back depends on whether its process is the one before.
  write({ node: options.node, ...presenceRequest("stays", options.process) });
  for (const { typeUrl, names } of options.subscriptions) {
    write({
      typeUrl,
      subscribe: names === "all" ? [] : names,
      unsubscribe: [],
      initialVersions: held.get(typeUrl)?.named ?? {},
      responseNonce: "",
    });
  }
  return held;
}

/** Applies the response; undefined when that went well, else why not. */
async function refusalOf(builder: SnapshotBuilder, response: ReceivedDeltaResponse): Promise<DiscoveryFault | undefined> {
  try {
    await builder.apply(response);
    return undefined;
  } catch (error) {
    return { code: invalidArgument, message: describeError(error), resources: error instanceof RefusedResources ? error.resources : [] };
  }
}
