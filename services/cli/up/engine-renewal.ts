import type { X509Certificate } from "node:crypto";
import { sleep, type Clock } from "#federation/runtime/clock.ts";
import { describeError } from "#federation/runtime/errors.ts";

/** A holder of a certificate that is kept good: a member of an engine, or etcd's administrator. */
export interface KeptCertificate {
  readonly name: string;
  /** Of `init`, which make another. */
  readonly words: readonly string[];
}

export interface EngineRenewal {
  /** Asked at each look, so that an edit of the federation counts. */
  readonly kept: () => Promise<readonly KeptCertificate[]>;
  /** What lies in the files; undefined where nobody can read it: the next start makes it. */
  readonly written: (name: string) => X509Certificate | undefined;
  /** What is shown to whoever connects; undefined for what runs nowhere, or does not answer. */
  readonly shown: (name: string) => Promise<X509Certificate | undefined>;
  /** Has a member take up what is written; nothing for those that do so by themselves. */
  readonly reload: (name: string) => void;
  /** Makes certificates by words of `init` and writes them, keys as they are. */
  readonly renew: (words: readonly string[], signal: AbortSignal) => Promise<void>;
  readonly clock: Clock;
  readonly log: (message: string) => void;
}

/** What is left then is long enough for whatever stands in the way of the next one: ten days of thirty. */
const renewedAfterRatio = 2 / 3;
/** Members that were made at once are renewed up to this part of their life earlier, each at its own time: what is wrong with a new one shows at one of them first. */
const jitterRatio = 0.1;
/** How often certificates are looked at: as a part of the shortest life, and in ms; how often it is looked whether there are any. They are read anew each time, so that a machine that slept makes up for it as soon. */
const look = { ofLifeRatio: 1 / 30, msMin: 1_000, msMax: 600_000, msWithout: 10_000 } as const;
/** A renewal that failed is tried again after a look's time, then twice that and so on up to so many of them: an hour. There is no last try. */
const lookRetriesMax = 6;
/** How often a member is told to take up what is written before a person is, and how long it may take each time. */
const takeUp = { triesMax: 3, withinMs: 1_000 } as const;

/** When a certificate is to be renewed, wall-clock ms. The same for all who ask, since its bytes decide. Pure. */
export function renewalMs(certificate: X509Certificate): number {
  const fromMs = certificate.validFromDate.getTime();
  const share = Number.parseInt(certificate.fingerprint256.replaceAll(":", "").slice(0, 8), 16) / 0x1_0000_0000;
  return fromMs + lifeMs(certificate) * (renewedAfterRatio - jitterRatio * share);
}

/**
 * Keeps the certificates of engines good until `signal` aborts: makes another before each ends, and sees to it that what each engine shows is
 * what is written, whoever wrote it.
 */
export async function keepEngines(options: EngineRenewal, signal: AbortSignal): Promise<void> {
  const told = new Map<string, string>();
  let failures = 0;
  while (!signal.aborted) {
    let waitMs: number = look.msWithout;
    try {
      const kept = await options.kept();
      waitMs = lookMs(kept.flatMap(({ name }) => options.written(name) ?? []));
      const isDone = await renewDue(kept, options, signal);
      failures = isDone ? 0 : failures + 1;
      await bringIn(kept, options, told, signal);
    } catch (error) {
      if (signal.aborted) return;
      failures++;
      options.log(`certificates of engines could not be looked after: ${describeError(error)}`);
    }
    await sleep(options.clock, waitMs * Math.min(2 ** failures, lookRetriesMax), signal).catch(() => undefined);
  }
}

/** Answers false when one that is due was not renewed. */
async function renewDue(kept: readonly KeptCertificate[], { written, renew, clock, log }: EngineRenewal, signal: AbortSignal): Promise<boolean> {
  const isDue = ({ name }: KeptCertificate): boolean => {
    const certificate = written(name);
    return certificate !== undefined && clock.nowMs() >= renewalMs(certificate);
  };
  const due = kept.filter(isDue);
  if (due.length === 0) return true;
  const names = due.map(({ name }) => name).join(", ");
  try {
    await renew(due.flatMap(({ words }) => words), signal);
  } catch (error) {
    if (!signal.aborted) log(`${names} keep${due.length === 1 ? "s its certificate" : " their certificates"} for now: ${describeError(error)}`);
    return false;
  }
  const still = due.filter(isDue);
  if (still.length < due.length) log(`renewed: ${due.filter((one) => !still.includes(one)).map(({ name }) => `${name} until ${written(name)?.validToDate.toISOString() ?? ""}`).join(", ")}`);
  // No certificate outlives the one that it was issued by.
  if (still.length > 0) log(`the new certificates of ${still.map(({ name }) => name).join(", ")} end as soon as the ones before: the federation's issuing certificate (federation-issuing.pem) is near its end; \`atoll renew-issuing\` makes another`);
  return still.length === 0;
}

/** Has every member that shows another certificate than is written take that up. */
async function bringIn(kept: readonly KeptCertificate[], options: EngineRenewal, told: Map<string, string>, signal: AbortSignal): Promise<void> {
  let behind = await membersBehind(kept, options);
  for (let tries = 0; behind.length > 0 && tries < takeUp.triesMax; tries++) {
    for (const { name } of behind) options.reload(name);
    await sleep(options.clock, takeUp.withinMs, signal);
    behind = await membersBehind(behind, options);
  }
  for (const { name } of behind) {
    const fingerprint = options.written(name)?.fingerprint256 ?? "";
    if (told.get(name) !== fingerprint) options.log(`${name} goes on with the certificate before, though another is written: restart it`);
    told.set(name, fingerprint);
  }
}

async function membersBehind(kept: readonly KeptCertificate[], { written, shown }: EngineRenewal): Promise<readonly KeptCertificate[]> {
  const found = await Promise.all(kept.map(async ({ name }) => await shown(name)));
  return kept.filter(({ name }, at) => {
    const [now, next] = [found[at], written(name)];
    return now !== undefined && next !== undefined && now.fingerprint256 !== next.fingerprint256;
  });
}

function lookMs(certificates: readonly X509Certificate[]): number {
  if (certificates.length === 0) return look.msWithout;
  return Math.min(look.msMax, Math.max(look.msMin, Math.min(...certificates.map(lifeMs)) * look.ofLifeRatio));
}

function lifeMs(certificate: X509Certificate): number {
  return certificate.validToDate.getTime() - certificate.validFromDate.getTime();
}
