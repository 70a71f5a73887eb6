import { status, type Server, type ServerUnaryCall, type ServerWritableStream, type sendUnaryData } from "@grpc/grpc-js";
import type { Clock } from "#federation/runtime/clock.ts";
import { describeError } from "#federation/runtime/errors.ts";
import type { Watched } from "#federation/runtime/watched.ts";
import type { Logger } from "#federation/telemetry/logger.ts";
import { endCall } from "#federation/wire/end-call.ts";
import { spiffeWorkloadService } from "#federation/wire/spiffe-workload.ts";
import { fetchJwtSvid, validateJwtSvid, type CallOutcome } from "./jwt-calls.ts";
import type { JwtSvids } from "./jwt-svids.ts";
import type { WorkloadAnswers } from "./workload-answers.ts";
import type { StreamMethod, UnaryMethod, WorkloadRefusal, WorkloadStats } from "./workload-stats.ts";

export interface WorkloadServiceOptions {
  readonly answers: Watched<WorkloadAnswers | undefined>;
  /** True when the plane has refused this workload an identity for good. */
  readonly isIdentityRefused: () => boolean;
  readonly tokens: Pick<JwtSvids, "get">;
  /** Open streams at a time, of all methods, and as many calls of one answer. */
  readonly streamsMax: number;
  readonly stats: WorkloadStats;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Ends every stream. */
  readonly signal: AbortSignal;
}

type AnswerStream = ServerWritableStream<Uint8Array, Uint8Array>;
type UnaryCall = ServerUnaryCall<Uint8Array, Uint8Array>;
type UnaryAnswer = sendUnaryData<Uint8Array>;

/** Every request has to carry it, as a hardening against forged requests (SPIFFE Workload Endpoint, section 3). */
const securityHeader = "workload.spiffe.io";

/** What a caller hears. The codes are those of the SPIFFE Workload Endpoint, section 6 and appendix A, which also say when to come again. */
const refusals: Readonly<Record<WorkloadRefusal, { readonly code: status; readonly details: string }>> = {
  header: { code: status.INVALID_ARGUMENT, details: `the request lacks the metadata ${securityHeader}: true` },
  request: { code: status.INVALID_ARGUMENT, details: "the request cannot be read" },
  otherIdentity: { code: status.PERMISSION_DENIED, details: "this workload has another identity" },
  token: { code: status.INVALID_ARGUMENT, details: "the token is refused" },
  tooManyStreams: { code: status.RESOURCE_EXHAUSTED, details: "too many calls of the Workload API are open here" },
  noIdentity: { code: status.UNAVAILABLE, details: "the sidecar has no valid identity yet, or not any more; try again later" },
  identityRefused: { code: status.PERMISSION_DENIED, details: "no identity is given to this workload" },
  noToken: { code: status.UNAVAILABLE, details: "the plane gives no JWT-SVID just now; try again later" },
  ending: { code: status.UNAVAILABLE, details: "the sidecar ends" },
};

/** The Workload API as a gRPC service. */
export class WorkloadService {
  readonly #options: WorkloadServiceOptions;
  readonly #pushing = new Set<Promise<void>>();
  #streams = 0;
  #unary = 0;

  constructor(options: WorkloadServiceOptions) {
    this.#options = options;
  }

  addTo(server: Server): void {
    const { tokens, clock } = this.#options;
    server.addService(spiffeWorkloadService, {
      fetchX509Svid: (call: AnswerStream) => this.#serve(call, "FetchX509SVID", ({ svids }) => svids),
      fetchX509Bundles: (call: AnswerStream) => this.#serve(call, "FetchX509Bundles", ({ bundles }) => bundles),
      fetchJwtSvid: (call: UnaryCall, answer: UnaryAnswer) => this.#answer(call, answer, { method: "FetchJWTSVID", decide: (answers) => fetchJwtSvid(call.request, answers, tokens) }),
      fetchJwtBundles: (call: AnswerStream) => this.#serve(call, "FetchJWTBundles", ({ jwtBundles }) => jwtBundles),
      validateJwtSvid: (call: UnaryCall, answer: UnaryAnswer) => this.#answer(call, answer, { method: "ValidateJWTSVID", decide: (answers) => validateJwtSvid(call.request, answers, clock) }),
    });
  }

  /** Resolves once every call has been told its end, after `signal` has aborted. */
  async ended(): Promise<void> {
    await Promise.all(this.#pushing);
  }

  #answer(call: UnaryCall, answer: UnaryAnswer, { method, decide }: { readonly method: UnaryMethod; readonly decide: (answers: WorkloadAnswers) => Promise<CallOutcome> }): void {
    const { answers, stats, streamsMax, logger } = this.#options;
    if (!this.#isMarked(call)) return answer(this.#refuse("header"));
    if (this.#unary >= streamsMax) return answer(this.#refuse("tooManyStreams"));
    const { current } = answers;
    if (current === undefined) return answer(this.#refuse(this.#withoutIdentity()));
    this.#unary++;
    const answered = decide(current)
      .then(
        (outcome) => {
          if (outcome.kind === "refuse") return answer(this.#refuse(outcome.why, outcome.details));
          stats.responses[method]++;
          answer(null, outcome.bytes);
        },
        (error: unknown) => {
          logger.error("A call of the Workload API failed.", { method, reason: describeError(error) });
          answer({ code: status.INTERNAL, details: "this is the sidecar's fault" });
        },
      )
      .finally(() => {
        this.#unary--;
        this.#pushing.delete(answered);
      });
    this.#pushing.add(answered);
  }

  #serve(call: AnswerStream, method: StreamMethod, pick: (answers: WorkloadAnswers) => Uint8Array): void {
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
  async #push(call: AnswerStream, method: StreamMethod, pick: (answers: WorkloadAnswers) => Uint8Array): Promise<void> {
    const { answers, stats, signal } = this.#options;
    const left = new AbortController();
    for (const event of ["cancelled", "error", "close"]) call.on(event, () => left.abort());
    const either = AbortSignal.any([signal, left.signal]);
    let told: Uint8Array | undefined;
    for await (const current of answers.changes(either)) {
      if (current === undefined) return this.#end(call, this.#withoutIdentity());
      const answer = pick(current);
      if (answer === told) continue;
      told = answer;
      stats.responses[method]++;
      await written(call, answer, either);
    }
    if (!left.signal.aborted) this.#end(call, "ending");
  }

  #withoutIdentity(): WorkloadRefusal {
    return this.#options.isIdentityRefused() ? "identityRefused" : "noIdentity";
  }

  #isMarked({ metadata }: Pick<AnswerStream, "metadata">): boolean {
    const values = metadata.get(securityHeader);
    return values.length > 0 && values.every((value) => value === "true");
  }

  #end(call: AnswerStream, why: WorkloadRefusal): void {
    const { code, details } = this.#refuse(why);
    endCall(call, code, details);
  }

  #refuse(why: WorkloadRefusal, said?: string): Error & { readonly code: status; readonly details: string } {
    this.#options.stats.refused[why]++;
    const { code, details } = refusals[why];
    return Object.assign(new Error(said ?? details), { code, details: said ?? details });
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
