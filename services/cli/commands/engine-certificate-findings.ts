import type { ClusterStatus, FederationStatus } from "#federation/admin-api/status.ts";
import { endWords } from "./certificate-findings.ts";

type Told = Pick<FederationStatus | ClusterStatus, "engineCertificates">;

/** Named so long before its end, in ms, and of a life shorter than four of those in its last sixth: whoever renews has had half of what was left when it was due. */
const namedBefore = { ms: 7 * 86_400_000, ofLifeRatio: 1 / 6 } as const;

const engineWords = { etcd: "etcd", nats: "nats-server" } as const;

/**
 * A sentence for each engine whose certificate has ended or soon will, as planes see it in the handshake, with what to do; each engine once,
 * by the earliest end that was seen. `isHere`: `atoll up` runs them on this machine. Pure.
 */
export function engineCertificateProblems(told: readonly Told[], { isHere, nowMs }: { readonly isHere: boolean; readonly nowMs: number }): readonly string[] {
  const byAddress = Map.groupBy(told.flatMap(({ engineCertificates = [] }) => engineCertificates), ({ address }) => address);
  return [...byAddress.values()].flatMap((seen) => {
    const [first] = seen.toSorted((a, b) => a.notAfterMs - b.notAfterMs);
    if (first === undefined) return [];
    const [leftMs, lifeMs] = [first.notAfterMs - nowMs, first.notAfterMs - first.notBeforeMs];
    if (leftMs > (lifeMs < 4 * namedBefore.ms ? lifeMs * namedBefore.ofLifeRatio : namedBefore.ms)) return [];
    const costs = leftMs > 0 ? "whoever connects after that is refused" : "whoever connects is refused, planes and its other members alike";
    return [`the certificate of ${engineWords[first.engine]} at ${first.address} ${endWords(leftMs)}, and ${costs}: ${isHere ? "the supervisor renews it by itself, and logs/supervisor.log says why it has not" : "renew it by `atoll renew-engines`, or where it is not of `atoll bootstrap` as docs/engines.md says"}`];
  });
}
