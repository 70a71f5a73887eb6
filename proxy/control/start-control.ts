import type { X509Svid } from "#federation/identity/svid.ts";
import type { ClusterId } from "#federation/model/names.ts";
import { AtollError } from "#federation/runtime/errors.ts";
import { until } from "#federation/runtime/watched.ts";
import type { ControlLink } from "./control-link.ts";
import { clusterOfPlane } from "./join-plane.ts";

/** What has to be known before any port is opened. */
export interface Footing {
  readonly svid: X509Svid;
  readonly cluster: ClusterId;
}

/**
 * Waits for the first valid identity and the first snapshot, from disk or from the plane: listeners open only then.
 * @throws {ATOLL_JOIN_TOKEN_REFUSED | ATOLL_JOIN_TOKEN_INVALID} when the plane will never give one for this token.
 * @throws {ATOLL_ABORTED} when `signal` aborts first.
 */
export async function awaitFooting(control: ControlLink, signal: AbortSignal): Promise<Footing> {
  const refused = new AbortController();
  const either = AbortSignal.any([signal, refused.signal]);
  const watching = (async () => {
    for await (const reason of control.refusal.changes(either)) if (reason !== undefined) refused.abort(reason);
  })();
  try {
    const svid = await until(control.svid, (value) => value !== undefined, either);
    const plane = await until(control.plane, (value) => value !== undefined, either);
    await until(control.source, (source) => source !== "none", either);
    if (svid === undefined || plane === undefined) throw new AtollError("ATOLL_INTERNAL", "waiting ended without what was waited for");
    return { svid, cluster: clusterOfPlane(plane.identity) };
  } catch (error) {
    if (refused.signal.aborted && !signal.aborted) throw refused.signal.reason;
    throw error;
  } finally {
    refused.abort();
    await watching;
  }
}
