import { decodeAcknowledgement, decodeFetchRequest, encodeFetchAnswer, encodeFrame, encodeHeartbeat } from "#federation/wire/frames.ts";
import type { ObjectSigner, VerifyChain } from "#federation/wire/signed-object.ts";
import { laterKinds } from "#federation/model/replicated-object.ts";
import type { Acknowledgement, LinkNames } from "#federation/model/replication-messages.ts";
import type { StaleOrigins } from "#federation/model/stale-origins.ts";
import type { ShownPosition, StoreHistory } from "#federation/model/store-standing.ts";
import type { Bus } from "#federation/bus/bus.ts";
import type { Clock } from "#federation/runtime/clock.ts";
import { sleep } from "#federation/runtime/clock.ts";
import { describeError, isAtollError, type AtollError } from "#federation/runtime/errors.ts";
import { runTasks } from "#federation/runtime/lifecycle.ts";
import { jittered } from "#federation/runtime/random.ts";
import type { Random } from "#federation/runtime/random.ts";
import { isSameList } from "#federation/runtime/same-list.ts";
import { WatchedValue, type Watched } from "#federation/runtime/watched.ts";
import type { Logger } from "#federation/telemetry/logger.ts";
import { PublisherCore } from "../core/publisher.ts";
import type { ObjectStanding, PublishedState, ReceiverLag } from "../core/publisher.ts";
import type { Incarnation } from "./incarnation.ts";
import { OfferedObjects, type OfferRule } from "./offered-objects.ts";
import { RivalReader } from "./rival-reader.ts";
import { ShownWitness } from "./shown-witness.ts";

/** The four subjects of one link: the publisher sends on the first two, its receiver on the other two. */
export interface LinkSubjects {
  readonly frame: string;
  readonly heartbeat: string;
  readonly ack: string;
  readonly fetch: string;
}

/**
 * The subjects between `cluster` and the global plane: "up" carries exports to it, "down" what it offers that cluster.
 * Whatever a cluster sends lies under `atoll.up.<cluster>.` and whatever it receives under `atoll.down.<cluster>.`,
 * acknowledgements and requests too, because those are all that its permissions on the bus allow.
 */
export function linkSubjects(direction: "up" | "down", cluster: string): LinkSubjects {
  const forth = `atoll.${direction}.${cluster}`;
  const back = `atoll.${direction === "up" ? "down" : "up"}.${cluster}`;
  return { frame: `${forth}.frame`, heartbeat: `${forth}.heartbeat`, ack: `${back}.ack`, fetch: `${back}.fetch` };
}

/** What a running publisher knows of one object, by the object's id. */
export type StandingOf = (objectId: string) => ObjectStanding;

export interface PublisherOptions {
  readonly bus: Bus;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  /** `audience` is the one receiver of this link. */
  readonly names: LinkNames;
  readonly publisherTrustDomain: string;
  readonly subjects: LinkSubjects;
  /** Identity of the publisher's store. */
  readonly epoch: number;
  /** Must be higher at each start within an epoch, e.g. the create revision of the leader's key: an older one's frames are refused. */
  readonly term: number;
  readonly objects: Watched<PublishedState>;
  /** Of a relay, asked at each heartbeat. */
  readonly staleOrigins?: () => StaleOrigins;
  /** Which objects this audience may see, all of them without one; looked at again whenever `objects` changes. */
  readonly offer?: OfferRule;
  /** Asked at each heartbeat, since the signing key is renewed within 30 days. */
  readonly signer: () => ObjectSigner;
  /** This link's entry (key: `names.audience`) is kept current; several publishers share the map. */
  readonly lags: WatchedValue<ReadonlyMap<string, ReceiverLag>>;
  /** Has this link's entry (key: `names.audience`) while it runs; several publishers share the map. */
  readonly standings: Map<string, StandingOf>;
  /** What this plane is told from another of its name by; all links of the plane share it. Absent: it is not. */
  readonly incarnation?: Incarnation;
  /** With `onBehind` and `incarnation`: must accept our own signing chains, those of the last weeks too. */
  readonly verifyChain?: VerifyChain;
  /** Of the store behind `objects`, said with each heartbeat. Absent: nobody says, as older versions do. */
  readonly history?: () => StoreHistory;
  /**
   * Told each second, for as long as a receiver shows a position above that of `objects`, or writes that `history` did not begin with. Whoever is told holds it against the store itself
   * before believing it: a leader that does not know yet that its term is over has merely not read what its successor has published.
   */
  readonly onBehind?: (behind: ShownPosition) => void;
}

/** Between two heartbeats, ±10 %. */
export const heartbeatIntervalMs = 1000;

/**
 * Publishes `objects` to one receiver until `signal` aborts. What the bus loses is found by the receiver, so a
 * failed publication is only logged.
 */
export async function runPublisher(options: PublisherOptions, signal: AbortSignal): Promise<void> {
  const { clock, names, epoch, term } = options;
  const stream = Buffer.from(options.random.bytes(8)).toString("hex");
  const untaken = new WatchedValue<readonly string[]>([]);
  const offered = new OfferedObjects(takenOnly(options.offer, untaken));
  const core = new PublisherCore(names, { epoch, term, stream }, offered.next(options.objects.current), clock.monotonicMs());
  options.standings.set(names.audience, (id) => core.standing(id));
  const rivals = rivalReader(core, options);
  try {
    await runTasks(
      [
        (inner) => serveFetches(core, options, inner),
        (inner) => readAcknowledgements(core, { options, rivals, untaken }, inner),
        (inner) => followObjects(core, { options, offered, untaken }, inner),
        (inner) => sendHeartbeats(core, { options, rivals }, inner),
      ],
      signal,
    );
  } finally {
    options.lags.set(new Map([...options.lags.current].filter(([receiver]) => receiver !== names.audience)));
    options.standings.delete(names.audience);
  }
}

/** What `rule` offers, without the kinds that the receiver does not take: refused for ever, they would make its digests differ for ever. */
function takenOnly(rule: OfferRule | undefined, untaken: Watched<readonly string[]>): OfferRule {
  return {
    offers: (payload) => !untaken.current.includes(payload.kind) && (rule === undefined || rule.offers(payload)),
    basis: () => [untaken.current, ...(rule?.basis() ?? [])],
  };
}

/** What a publisher offers, and the kinds that its receiver has shown to take not. */
interface Offering {
  readonly options: PublisherOptions;
  readonly offered: OfferedObjects;
  readonly untaken: Watched<readonly string[]>;
}

async function followObjects(core: PublisherCore, { options, offered, untaken }: Offering, signal: AbortSignal): Promise<void> {
  const { clock, objects } = options;
  let timer: Disposable | undefined;
  const flushWhenDue = (): void => {
    timer?.[Symbol.dispose]();
    const delayMs = core.flushDelayMs(clock.monotonicMs());
    if (delayMs === undefined) return;
    const waitMs = isMuted(options) ? heartbeatIntervalMs : delayMs;
    if (waitMs > 0) {
      timer = clock.schedule(waitMs, flushWhenDue);
      return;
    }
    for (const frame of core.flush(clock.monotonicMs())) publish(options, options.subjects.frame, () => encodeFrame(frame));
    reportLag(core, options);
  };
  const follow = async (source: Watched<unknown>, inner: AbortSignal): Promise<void> => {
    for await (const _ of source.changes(inner)) {
      core.update(offered.next(objects.current));
      flushWhenDue();
    }
  };
  try {
    await runTasks([objects, untaken].map((source) => (inner: AbortSignal) => follow(source, inner)), signal);
  } finally {
    timer?.[Symbol.dispose]();
  }
}

/** A link, and what it hears of another process of the publisher's name. */
interface LinkWithRivals {
  readonly options: PublisherOptions;
  readonly rivals: RivalReader | undefined;
}

async function sendHeartbeats(core: PublisherCore, { options, rivals }: LinkWithRivals, signal: AbortSignal): Promise<void> {
  const { clock, random, names, publisherTrustDomain, subjects, signer, incarnation, staleOrigins, history } = options;
  for (let beat = 1; ; beat++) {
    incarnation?.look();
    const nonce = random.bytes(16);
    const relayed = staleOrigins === undefined ? {} : { staleOrigins: staleOrigins() };
    publish(options, subjects.heartbeat, () =>
      encodeHeartbeat({ ...names, ...core.position, ...core.summary(), publisherTrustDomain, nonce, sentAtMs: Math.floor(clock.nowMs()), beat, ...relayed, ...history?.(), ...rivals?.next(nonce) }, signer()),
    );
    core.forgetAnswers(clock.monotonicMs());
    reportLag(core, options);
    await sleep(clock, jittered(random, heartbeatIntervalMs, 0.1), signal);
  }
}

async function serveFetches(core: PublisherCore, options: PublisherOptions, signal: AbortSignal): Promise<void> {
  const { bus, subjects, logger } = options;
  for await (const message of bus.subscribe(subjects.fetch, signal)) {
    if (isMuted(options)) continue;
    try {
      message.reply(encodeFetchAnswer(core.answer(decodeFetchRequest(message.payload), options.clock.monotonicMs())));
    } catch (error) {
      if (!isAtollError(error)) throw error;
      logger.warn("a fetch request was refused", { code: error.code, error: describeError(error), audience: options.names.audience });
    }
  }
}

async function readAcknowledgements(core: PublisherCore, { options, rivals, untaken }: LinkWithRivals & { readonly untaken: WatchedValue<readonly string[]> }, signal: AbortSignal): Promise<void> {
  const { bus, subjects, logger, names } = options;
  const look = witnessReader(core, options);
  for await (const message of bus.subscribe(subjects.ack, signal)) {
    try {
      const acknowledgement = decodeAcknowledgement(message.payload);
      if (acknowledgement.receiver !== names.audience) continue;
      look(acknowledgement);
      const missing = laterKinds.filter((kind) => acknowledgement.takes?.includes(kind) !== true);
      if (!isSameList(missing, untaken.current)) untaken.set(missing);
      if (acknowledgement.rival !== undefined) rivals?.look(acknowledgement.rival);
      if (core.acknowledge(acknowledgement, options.clock.monotonicMs())) reportLag(core, options);
    } catch (error) {
      if (!isAtollError(error)) throw error;
      logger.warn("an acknowledgement was refused", { code: error.code, error: describeError(error), audience: names.audience });
    }
  }
}

function witnessReader(core: PublisherCore, options: PublisherOptions): (acknowledgement: Acknowledgement) => void {
  const { names, publisherTrustDomain, epoch, objects, verifyChain, onBehind, incarnation, history } = options;
  if (verifyChain === undefined || onBehind === undefined) return () => undefined;
  const shown = new ShownWitness({
    names,
    publisherTrustDomain,
    verifyChain,
    self: { epoch, incarnation: incarnation?.id, revision: () => objects.current.revision, opened: history?.().opened },
    onRefused: (error) => refuseShown(core, options, error),
  });
  return ({ witness }) => {
    const behind = witness === undefined ? undefined : shown.judge(witness);
    if (behind !== undefined) onBehind(behind);
  };
}

function rivalReader(core: PublisherCore, options: PublisherOptions): RivalReader | undefined {
  const { names, publisherTrustDomain, epoch, verifyChain, onBehind, incarnation, clock } = options;
  if (verifyChain === undefined || incarnation === undefined) return undefined;
  return new RivalReader({
    names,
    publisherTrustDomain,
    verifyChain,
    epoch,
    incarnation,
    clock,
    onNamed: (behind) => onBehind?.(behind),
    onRefused: (error) => refuseShown(core, options, error),
  });
}

function refuseShown(core: PublisherCore, options: PublisherOptions, error: AtollError): void {
  core.refuseWitness();
  reportLag(core, options);
  options.logger.warn("what a receiver showed of our own past was refused", { code: error.code, error: describeError(error), audience: options.names.audience });
}

/** While another process speaks under our name nothing but heartbeats is said. */
function isMuted({ incarnation }: PublisherOptions): boolean {
  return incarnation?.met !== undefined;
}

function publish({ bus, logger, names }: PublisherOptions, subject: string, encode: () => Uint8Array): void {
  try {
    bus.publish(subject, encode());
  } catch (error) {
    if (!isAtollError(error)) throw error;
    logger.warn("a publication was lost", { code: error.code, error: describeError(error), subject, audience: names.audience });
  }
}

function reportLag(core: PublisherCore, { clock, lags, names }: PublisherOptions): void {
  const lag = core.lag(clock.monotonicMs());
  lags.set(new Map([...lags.current, [names.audience, lag]]));
}
