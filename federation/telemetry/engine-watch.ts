import type { Registry } from "prom-client";
import type { EngineCertificate, EngineLook, EngineReport, SeenEngines } from "#federation/model/engine-report.ts";
import { abortedError, sleep, type Clock } from "#federation/runtime/clock.ts";
import { describeError } from "#federation/runtime/errors.ts";
import type { Logger } from "./logger.ts";
import type { CertificateWatch } from "./certificate-watch.ts";
import { addGauge } from "./read-metrics.ts";

/** Between looks at an engine that could not be looked at. */
const retryMs = 30_000;
/** The same while a member does not answer, or is cut from its peers, whose return is waited for. */
const missingMs = 5_000;

/** Looks at a plane's engines now and then, whether the plane leads or not, and keeps what was seen last. */
export class EngineWatch implements SeenEngines {
  readonly #looks: readonly EngineLook[];
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #certificates: Pick<CertificateWatch, "certificates" | "run"> | undefined;
  readonly #seen = new Map<EngineLook, readonly EngineReport[]>();

  constructor(looks: readonly EngineLook[], { clock, logger, certificates }: { readonly clock: Clock; readonly logger: Logger; readonly certificates?: Pick<CertificateWatch, "certificates" | "run"> }) {
    this.#looks = looks;
    this.#certificates = certificates;
    this.#clock = clock;
    this.#logger = logger;
  }

  get reports(): readonly EngineReport[] {
    return [...this.#seen.values()].flat();
  }

  get certificates(): readonly EngineCertificate[] {
    return this.#certificates?.certificates ?? [];
  }

  async run(signal: AbortSignal): Promise<void> {
    await Promise.all([...this.#looks.map((look) => this.#follow(look, signal)), this.#certificates?.run(signal)]);
  }

  async #follow(look: EngineLook, signal: AbortSignal): Promise<void> {
    for (;;) {
      let waitMs = look.everyMs;
      try {
        const reports = await untilGivenUp(look.look(), signal);
        this.#seen.set(look, reports);
        if (reports.some((report) => report.kind === "etcd" && (report.silent !== undefined || report.hasLeader === false))) waitMs = Math.min(waitMs, missingMs);
      } catch (error) {
        if (signal.aborted) throw error;
        this.#seen.delete(look);
        waitMs = Math.min(waitMs, retryMs);
        this.#logger.debug("An engine could not be looked at.", { reason: describeError(error) });
      }
      await sleep(this.#clock, waitMs, signal);
    }
  }
}

/** What `work` answers; whoever ends does not wait for it. @throws {ATOLL_ABORTED} when `signal` aborts first. */
function untilGivenUp<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const onAbort = (): void => reject(abortedError(signal));
    if (signal.aborted) onAbort();
    signal.addEventListener("abort", onAbort, { once: true });
    work.then(resolve, reject).finally(() => signal.removeEventListener("abort", onAbort));
  });
}

/** What planes show of their engines. */
export function addEngineMetrics(registry: Registry, watch: SeenEngines): void {
  const etcd = (name: string, help: string, read: (report: Extract<EngineReport, { readonly kind: "etcd" }>) => number | undefined): void => {
    addGauge(registry, {
      name,
      help,
      labels: ["address"],
      read: (add) => {
        for (const report of watch.reports) {
          const value = report.kind === "etcd" ? read(report) : undefined;
          if (value !== undefined) add({ address: report.address }, value);
        }
      },
    });
  };
  etcd("atoll_etcd_answers", "1 while a member of this plane's etcd answers what the plane looks at.", ({ silent }) => (silent === undefined ? 1 : 0));
  etcd("atoll_etcd_has_leader", "1 while a member that answers knows a leader, 0 while it is cut from its peers.", ({ hasLeader }) => (hasLeader === undefined ? undefined : Number(hasLeader)));
  etcd("atoll_etcd_clock_ahead_seconds", "By how much a member's clock is ahead of this plane's, to about a second.", ({ clockAheadMs }) => (clockAheadMs === undefined ? undefined : clockAheadMs / 1_000));
  etcd("atoll_etcd_quota_used_ratio", "Size of a member's database as a share of its quota.", ({ database }) => (database?.quotaBytes === undefined ? undefined : database.bytes / database.quotaBytes));
  etcd("atoll_etcd_slow_syncs", "How often a member took longer than a second to bring its log to the disk, in about a minute.", ({ syncs }) => syncs?.slow);
  addGauge(registry, {
    name: "atoll_engine_reaches",
    help: "1 for each way in which this plane's engine lets it reach what is not its own.",
    labels: ["engine", "address", "reach"],
    read: (add) => {
      for (const { kind, address, reaches = [] } of watch.reports) for (const reach of reaches) add({ engine: kind, address, reach }, 1);
    },
  });
  addGauge(registry, {
    name: "atoll_engine_certificate_expiry_timestamp_seconds",
    help: "When what this plane's engine shows in the handshake ends.",
    labels: ["engine", "address"],
    read: (add) => {
      for (const { engine, address, notAfterMs } of watch.certificates) add({ engine, address }, notAfterMs / 1_000);
    },
  });
}
