import type { Socket } from "node:net";
import type { Clock } from "#federation/runtime/clock.ts";
import type { Logger } from "#federation/telemetry/logger.ts";
import type { Connector } from "./connector.ts";

/** What this process lacked when it could not even begin a connection: nobody was asked anything, so nobody is to blame. */
export const ownFaults = ["descriptors", "memory", "identity"] as const;
export type OwnFault = (typeof ownFaults)[number];

/** A connection that was not begun: there is no valid identity, or no roots of the trust domain that has to answer. */
export class UnstartableError extends Error {
  constructor() {
    super("there is no identity or no trust bundle to connect with");
  }
}

/**
 * Of the errors of `connect`. `EADDRNOTAVAIL` is none of them: local ports run out towards one address at a time, where another
 * address can be had, and it is what a host without IPv6 says of every address of that kind.
 */
const codes: Readonly<Record<string, OwnFault>> = { EMFILE: "descriptors", ENFILE: "descriptors", ENOBUFS: "memory", ENOMEM: "memory" };

/** What we lacked ourselves, or undefined when the error speaks of the far side or of the way there. */
export function ownFaultOf(error: Error): OwnFault | undefined {
  return error instanceof UnstartableError ? "identity" : codes[(error as NodeJS.ErrnoException).code ?? ""];
}

/** How often each was missing; for metrics. */
export type OwnFaultCounts = Record<OwnFault, number>;

export function createOwnFaultCounts(): OwnFaultCounts {
  return { descriptors: 0, memory: 0, identity: 0 };
}

/** `connector`, with everything that it could not begin counted, whoever asked, and told to `onFault`. */
export function countOwnFaults(connector: Connector, counts: OwnFaultCounts, onFault: (fault: OwnFault) => void): Connector {
  return {
    negotiates: connector.negotiates,
    connect(target, handler): Socket {
      const socket = connector.connect(target, handler);
      socket.once("error", (error) => {
        const fault = ownFaultOf(error);
        if (fault === undefined) return;
        counts[fault]++;
        onFault(fault);
      });
      return socket;
    },
  };
}

const advice = {
  descriptors: "as many files and connections are open as the limit allows: raise it (LimitNOFILE= of the unit, or ulimit -n)",
  memory: "the system has no memory for them",
} as const;

/** One line for a whole spell of them. */
const logPauseMs = 60_000;

/** Warns of what an operator can give this process; the lack of an identity is told by whoever asks for one. */
export function createOwnFaultLog(clock: Clock, logger: Logger): (fault: OwnFault) => void {
  let nextMs = Number.NEGATIVE_INFINITY;
  return (fault) => {
    const nowMs = clock.monotonicMs();
    if (fault === "identity" || nowMs < nextMs) return;
    nextMs = nowMs + logPauseMs;
    logger.warn("The proxy cannot open further connections.", { lacked: fault, advice: advice[fault] });
  };
}
