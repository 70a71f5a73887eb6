import type { Clock } from "#federation/runtime/clock.ts";
import { describeError } from "#federation/runtime/errors.ts";
import type { RawWatchEvent, RawWatchResponse, WatchStream } from "./etcd-client.ts";

/** Where one stream of a watch begins and what it follows; keys as etcd sees them. */
export interface EtcdWatchRequest {
  readonly prefix: Buffer;
  readonly rangeEnd: Buffer;
  /** The first revision whose events are wanted. */
  readonly startRevision: number;
  readonly clock: Clock;
  /** Hears that etcd has set the watch up: whatever is written from now on comes by it. */
  readonly onUp: () => void;
}

/** How long etcd may take to set a watch up, in ms; a call may take a second. A member that reads and sets up no watch would keep its plane waiting for ever. */
export const watchUpMsMax = 5_000;

/** Why a stream ended: what came after `startRevision` may be had from a new stream, or only by listing anew. */
export type EtcdWatchEnd = { readonly kind: "resume"; readonly reason: string } | { readonly kind: "relist"; readonly reason: string };

/** All events of complete revisions up to `revision`. */
export interface EtcdWatchBatch {
  readonly events: readonly RawWatchEvent[];
  readonly revision: number;
}

/**
 * Reads one watch stream until it ends; never throws. The stream is read only as fast as the batches are taken, so
 * a slow reader makes etcd wait and holds nothing here.
 */
export async function* readWatchStream(stream: WatchStream, request: EtcdWatchRequest, signal: AbortSignal): AsyncGenerator<EtcdWatchBatch, EtcdWatchEnd, undefined> {
  const cancel = (): void => stream.cancel();
  // The error comes through the iteration too; without a listener of its own a late one would end the process.
  stream.on("error", () => undefined);
  if (signal.aborted) {
    cancel();
    return { kind: "resume", reason: "nobody wants it any more" };
  }
  signal.addEventListener("abort", cancel, { once: true });
  let fragments: RawWatchEvent[] = [];
  let lateness: string | undefined;
  using upTimer = request.clock.schedule(watchUpMsMax, () => {
    lateness = `etcd has not set the watch up within ${watchUpMsMax} ms`;
    stream.cancel();
  });
  try {
    stream.write({
      create_request: {
        key: request.prefix,
        range_end: request.rangeEnd,
        start_revision: String(request.startRevision),
        // etcd tells every 10 minutes how far it is, so that a quiet watch can resume after a compaction.
        progress_notify: true,
        fragment: true,
      },
    });
    for await (const answer of stream as AsyncIterable<RawWatchResponse>) {
      const revision = Number(answer.header?.revision ?? 0);
      if (answer.canceled) {
        return { kind: "relist", reason: answer.compact_revision === "0" ? answer.cancel_reason : `compacted up to ${answer.compact_revision}` };
      }
      // etcd would wait in silence for a future revision: it was restored from an older state.
      if (answer.created && revision < request.startRevision - 1) return { kind: "relist", reason: `etcd is at revision ${revision}, before ${request.startRevision - 1}` };
      if (answer.created) {
        upTimer[Symbol.dispose]();
        request.onUp();
        continue;
      }
      fragments.push(...answer.events);
      if (answer.fragment) continue;
      const last = fragments.at(-1);
      yield { events: fragments, revision: last === undefined ? revision : Number(last.kv.mod_revision) };
      fragments = [];
    }
    return { kind: "resume", reason: lateness ?? "the stream ended" };
  } catch (error) {
    return { kind: "resume", reason: lateness ?? describeError(error) };
  } finally {
    signal.removeEventListener("abort", cancel);
    stream.cancel();
  }
}
