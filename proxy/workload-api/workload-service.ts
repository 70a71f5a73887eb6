import { status, type Server, type ServerUnaryCall, type ServerWritableStream, type sendUnaryData } from "@grpc/grpc-js";
import type { Watched } from "#federation/runtime/watched.ts";
import { endCall } from "#federation/wire/end-call.ts";
import { spiffeWorkloadService } from "#federation/wire/spiffe-workload.ts";
import type { WorkloadAnswers } from "./workload-answers.ts";

/** The streaming methods of the X.509-SVID profile. */
export const workloadMethods = ["FetchX509SVID", "FetchX509Bundles"] as const;
export type WorkloadMethod = (typeof workloadMethods)[number];

/**
 * Why a call was refused: without the standard's header; of the JWT-SVID profile; there are too many streams; there is no identity just now,
 * or the plane gives none; the sidecar ends.
 */
export const workloadRefusals = ["header", "profile", "tooManyStreams", "noIdentity", "identityRefused", "ending"] as const;
export type WorkloadRefusal = (typeof workloadRefusals)[number];

/** Counters of the Workload API. */
export interface WorkloadStats {
  readonly streams: Record<WorkloadMethod, number>;
  readonly responses: Record<WorkloadMethod, number>;
  readonly refused: Record<WorkloadRefusal, number>;
  /** Connections beyond the bound. */
  connectionsDropped: number;
}

export function createWorkloadStats(): WorkloadStats {
  const zeros = <K extends string>(keys: readonly K[]): Record<K, number> => Object.fromEntries(keys.map((key) => [key, 0])) as Record<K, number>;
  return { streams: zeros(workloadMethods), responses: zeros(workloadMethods), refused: zeros(workloadRefusals), connectionsDropped: 0 };
}

export interface WorkloadServiceOptions {
  readonly answers: Watched<WorkloadAnswers | undefined>;
  /** True when the plane has refused this workload an identity for good. */
  readonly isIdentityRefused: () => boolean;
  /** Open streams at a time, of both methods. */
  readonly streamsMax: number;
  readonly stats: WorkloadStats;
  /** Ends every stream. */
  readonly signal: AbortSignal;
}

type AnswerStream = ServerWritableStream<Uint8Array, Uint8Array>;

/** Every request has to carry it, as a hardening against forged requests (SPIFFE Workload Endpoint, section 3). */
const securityHeader = "workload.spiffe.io";

/** What a caller hears. The codes are those of the SPIFFE Workload Endpoint, section 6 and appendix A, which also say when to come again. */
const refusals: Readonly<Record<WorkloadRefusal, { readonly code: status; readonly details: string }>> = {
  header: { code: status.INVALID_ARGUMENT, details: `the request lacks the metadata ${securityHeader}: true` },
  profile: { code: status.UNIMPLEMENTED, details: "the JWT-SVID profile is not served here" },
  tooManyStreams: { code: status.RESOURCE_EXHAUSTED, details: "too many streams of the Workload API are open here" },
  noIdentity: { code: status.UNAVAILABLE, details: "the sidecar has no valid identity yet, or not any more; try again later" },
  identityRefused: { code: status.PERMISSION_DENIED, details: "no identity is given to this workload" },
  ending: { code: status.UNAVAILABLE, details: "the sidecar ends" },
};

/** The Workload API as a gRPC service. */
export class WorkloadService {
  readonly #options: WorkloadServiceOptions;
  readonly #pushing = new Set<Promise<void>>();
  #streams = 0;

  constructor(options: WorkloadServiceOptions) {
    this.#options = options;
  }

  addTo(server: Server): void {
    const refuseStream = (call: AnswerStream): void => this.#end(call, this.#isMarked(call) ? "profile" : "header");
    const refuseUnary = (call: ServerUnaryCall<Uint8Array, Uint8Array>, answer: sendUnaryData<Uint8Array>): void => answer(this.#refuse(this.#isMarked(call) ? "profile" : "header"));
    server.addService(spiffeWorkloadService, {
      fetchX509Svid: (call: AnswerStream) => this.#serve(call, "FetchX509SVID", ({ svids }) => svids),
      fetchX509Bundles: (call: AnswerStream) => this.#serve(call, "FetchX509Bundles", ({ bundles }) => bundles),
      fetchJwtSvid: refuseUnary,
      fetchJwtBundles: refuseStream,
      validateJwtSvid: refuseUnary,
    });
  }

  /** Resolves once every stream has been told its end, after `signal` has aborted. */
  async ended(): Promise<void> {
    await Promise.all(this.#pushing);
  }

  #serve(call: AnswerStream, method: WorkloadMethod, pick: (answers: WorkloadAnswers) => Uint8Array): void {
    const { stats, streamsMax } = this.#options;
    if (!this.#isMarked(call)) return this.#end(call, "header");
    if (this.#streams >= streamsMax) return this.#end(call, "tooManyStreams");
    this.#streams++;
    stats.streams[method]++;
    // Also one that has been told its end counts until its caller has taken that.
    call.once("close", () => {
      this.#streams--;
      stats.streams[method]--;
    });
    const pushing = this.#push(call, method, pick).finally(() => this.#pushing.delete(pushing));
    this.#pushing.add(pushing);
  }

  /** One answer is on its way at a time, and the next one is the newest: a caller that reads slowly misses what was between. */
  async #push(call: AnswerStream, method: WorkloadMethod, pick: (answers: WorkloadAnswers) => Uint8Array): Promise<void> {
    const { answers, stats, signal } = this.#options;
    const left = new AbortController();
    for (const event of ["cancelled", "error", "close"]) call.on(event, () => left.abort());
    const either = AbortSignal.any([signal, left.signal]);
    let told: Uint8Array | undefined;
    for await (const current of answers.changes(either)) {
      if (current === undefined) return this.#end(call, this.#options.isIdentityRefused() ? "identityRefused" : "noIdentity");
      const answer = pick(current);
      if (answer === told) continue;
      told = answer;
      stats.responses[method]++;
      await written(call, answer, either);
    }
    if (!left.signal.aborted) this.#end(call, "ending");
  }

  #isMarked({ metadata }: Pick<AnswerStream, "metadata">): boolean {
    const values = metadata.get(securityHeader);
    return values.length > 0 && values.every((value) => value === "true");
  }

  #end(call: AnswerStream, why: WorkloadRefusal): void {
    const { code, details } = this.#refuse(why);
    endCall(call, code, details);
  }

  #refuse(why: WorkloadRefusal): Error & { readonly code: status; readonly details: string } {
    this.#options.stats.refused[why]++;
    const { code, details } = refusals[why];
    return Object.assign(new Error(details), { code, details });
  }
}

/** Resolves once the connection has taken `answer`, or when `signal` aborts. */
function written(call: AnswerStream, answer: Uint8Array, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      signal.removeEventListener("abort", done);
      resolve();
    };
    signal.addEventListener("abort", done, { once: true });
    if (signal.aborted) done();
    else call.write(answer, done);
  });
}
