import { request } from "node:https";
import type { Etcd3 } from "etcd3";
import type { EtcdReach, EtcdReport } from "#federation/model/engine-report.ts";
import type { Clock } from "#federation/runtime/clock.ts";
import { describeError } from "#federation/runtime/errors.ts";
import { openEtcdMember, type EtcdTls } from "./etcd-client.ts";
import { readEtcdFigures, type EtcdFigures } from "./etcd-figures.ts";

export interface EtcdInspectionOptions {
  /** `https://host:port` of each member. */
  readonly endpoints: readonly string[];
  readonly tls: () => EtcdTls;
  /** Before every key of the plane. Its keys begin with a slash. */
  readonly keyPrefix: string;
  readonly clock: Clock;
}

/** Of each call, and of the metrics' page. */
const callTimeoutMs = 2_000;
const pageBytesMax = 4 * 1024 * 1024;
/** What a disk does is told of at least so long, and of no more than one look beyond it. */
const windowMs = 60_000;
/** Of what a member refuses to whoever has no right to it. */
const refused = /permission denied|user name is empty|user not found|user name not found/i;

interface Sample {
  readonly atMs: number;
  readonly figures: EtcdFigures;
}

/** Looks at an etcd by a plane's own certificate: it asks nothing that the plane has no right to ask, writes nothing, and shows no key of others. */
export class EtcdInspection {
  readonly #options: EtcdInspectionOptions;
  /** Of each member, the oldest first. */
  readonly #samples = new Map<string, readonly Sample[]>();

  constructor(options: EtcdInspectionOptions) {
    this.#options = options;
  }

  /** One report for each member; one that does not answer has its reason. */
  async look(): Promise<readonly EtcdReport[]> {
    return await Promise.all(this.#options.endpoints.map((endpoint) => this.#lookAt(endpoint)));
  }

  async #lookAt(address: string): Promise<EtcdReport> {
    const { tls, clock, keyPrefix } = this.#options;
    const identity = tls();
    const member = openEtcdMember(address, identity, clock, callTimeoutMs);
    try {
      const [status, reaches, page] = await Promise.all([member.client.maintenance.status(), reachesOf(member.client, keyPrefix), this.#page(address, identity)]);
      const { version = status.version, databaseBytes, usedBytes, quotaBytes } = page?.figures ?? {};
      const bytes = databaseBytes ?? Number(status.dbSize);
      const { errors = [] } = status as { readonly errors?: readonly string[] };
      const syncs = page === undefined ? undefined : this.#syncsOf(address, page.figures);
      return {
        kind: "etcd",
        address,
        version,
        hasLeader: status.leader !== "0",
        database: { bytes, usedBytes: usedBytes ?? bytes, ...(quotaBytes === undefined || quotaBytes === 0 ? {} : { quotaBytes }) },
        alarms: ["NOSPACE", "CORRUPT"].filter((alarm) => errors.some((error) => error.includes(alarm))),
        ...(page?.aheadMs === undefined ? {} : { clockAheadMs: page.aheadMs }),
        ...(syncs === undefined ? {} : { syncs }),
        ...(reaches === undefined ? {} : { reaches }),
      };
    } catch (error) {
      this.#samples.delete(address);
      return { kind: "etcd", address, silent: describeError(error).slice(0, 200) };
    } finally {
      member[Symbol.dispose]();
    }
  }

  /** What its disk did since the oldest sample that is kept; undefined until that is long enough ago, and after the member's restart. */
  #syncsOf(address: string, figures: EtcdFigures): EtcdReport["syncs"] {
    const now = this.#options.clock.monotonicMs();
    const before = (this.#samples.get(address) ?? []).filter((sample) => (sample.figures.applied ?? 0) <= (figures.applied ?? 0) && (sample.figures.syncs?.count ?? 0) <= (figures.syncs?.count ?? 0));
    // The youngest of those that are old enough, and all that are younger.
    const from = Math.max(0, before.findLastIndex(({ atMs }) => now - atMs >= windowMs));
    this.#samples.set(address, [...before.slice(from), { atMs: now, figures }]);
    const oldest = before[from];
    if (oldest === undefined || now - oldest.atMs < windowMs) return undefined;
    const { syncs, applied } = figures;
    if (syncs === undefined || applied === undefined || oldest.figures.syncs === undefined || oldest.figures.applied === undefined) return undefined;
    return { count: syncs.count - oldest.figures.syncs.count, slow: Math.max(0, syncs.slow - oldest.figures.syncs.slow), writes: applied - oldest.figures.applied };
  }

  /** Its metrics, and by how much its clock is ahead; undefined where it shows none there. */
  async #page(address: string, { caPem, certificatePem, privateKeyPem }: EtcdTls): Promise<{ readonly figures: EtcdFigures; readonly aheadMs: number | undefined } | undefined> {
    const { clock } = this.#options;
    const sentMs = clock.nowMs();
    return await new Promise((resolve) => {
      const asked = request(`${address}/metrics`, { ca: caPem, cert: certificatePem, key: privateKeyPem, agent: false, signal: AbortSignal.timeout(callTimeoutMs) }, (answer) => {
        const headMs = clock.nowMs();
        const parts: Buffer[] = [];
        let bytes = 0;
        answer.on("data", (part: Buffer) => {
          bytes += part.length;
          if (bytes > pageBytesMax) asked.destroy();
          else parts.push(part);
        });
        answer.once("close", () => {
          if (answer.statusCode !== 200 || !answer.complete) resolve(undefined);
          else resolve({ figures: readEtcdFigures(Buffer.concat(parts).toString("utf8")), aheadMs: aheadMs(answer.headers.date, (sentMs + headMs) / 2) });
        });
      });
      asked.once("error", () => resolve(undefined)).end();
    });
  }
}

/** A header says whole seconds, the rest of which is over by half on average. */
function aheadMs(date: string | undefined, atMs: number): number | undefined {
  const saidMs = Date.parse(date ?? "");
  return Number.isNaN(saidMs) ? undefined : Math.round(saidMs + 500 - atMs);
}

/** What the plane can do to keys of others, as far as there are any; undefined when that could not be found out. */
async function reachesOf({ kv }: Etcd3, keyPrefix: string): Promise<readonly EtcdReach[] | undefined> {
  const [first, behind, end] = [Buffer.from(`${keyPrefix}/`), Buffer.from(`${keyPrefix}0`), Buffer.of(0)];
  const others = [
    { key: Buffer.of(0), range_end: first, limit: 1, keys_only: true },
    { key: behind, range_end: end, limit: 1, keys_only: true },
  ];
  try {
    const read = await allowed(async () => (await Promise.all(others.map((range) => kv.range(range)))).some(({ kvs }) => kvs.length > 0));
    // Nobody else's is in it.
    if (read === false) return [];
    // A condition that never holds, so that nothing is ever written; rights are judged all the same.
    const never = { key: first, result: "Equal", target: "Create", create_revision: "9223372036854775807" } as const;
    const write = await allowed(async () => void (await kv.txn({ compare: [never], success: [{ request_put: { key: behind, value: Buffer.alloc(0) } }], failure: [] })));
    const within = { compare: [], success: others.map((range) => ({ request_range: range })), failure: [] };
    const nested = read === "refused" ? await allowed(async () => (await kv.txn({ compare: [], success: [{ request_txn: within }], failure: [] })).responses.some(({ response_txn: inner }) => inner.responses.some(({ response_range: range }) => range.kvs.length > 0))) : false;
    return [...(read === true ? (["read"] as const) : []), ...(write === "refused" ? [] : (["write"] as const)), ...(nested === true ? (["nested"] as const) : [])];
  } catch {
    return undefined;
  }
}

/** What `ask` answers, or that it was refused for want of a right. @throws what else is wrong. */
async function allowed<T>(ask: () => Promise<T>): Promise<T | "refused"> {
  try {
    return await ask();
  } catch (error) {
    if (refused.test(describeError(error))) return "refused";
    throw error;
  }
}
