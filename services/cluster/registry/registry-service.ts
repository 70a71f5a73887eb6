import { status, type handleBidiStreamingCall } from "@grpc/grpc-js";
import type { SpiffeId } from "#federation/model/names.ts";
import { describeError } from "#federation/runtime/errors.ts";
import type { Logger } from "#federation/telemetry/logger.ts";
import { endCall } from "#federation/wire/end-call.ts";
import type { SessionAck, SessionReport } from "#federation/wire/workload-messages.ts";
import type { Registry } from "./registry.ts";

/** Reports of one stream that may wait for the store; more than that is a proxy that does not wait for its acknowledgements. */
export const waitingReportsMax = 16;

/** The handler of `Registry.Session`: reports of a stream are taken one after the other, and its end ends the session. */
export function registrySessionHandler(
  registry: Registry,
  options: {
    readonly identify: (call: Parameters<handleBidiStreamingCall<SessionReport, SessionAck>>[0]) => SpiffeId | undefined;
    readonly logger: Logger;
    /** Hears of each registration that was refused. */
    readonly onRefused: () => void;
    /** Ends with the plane. */
    readonly signal: AbortSignal;
  },
): handleBidiStreamingCall<SessionReport, SessionAck> {
  return (call) => {
    const identity = options.identify(call);
    if (identity === undefined) {
      endCall(call, status.PERMISSION_DENIED, "only workloads of this cluster's trust domain and its gateways register here");
      return;
    }
    const session = registry.openSession(identity);
    let waiting = 0;
    let turn = Promise.resolve();
    call.on("data", (report: SessionReport) => {
      if (++waiting > waitingReportsMax) {
        endCall(call, status.RESOURCE_EXHAUSTED, "too many reports at once");
        return;
      }
      turn = turn.then(async () => {
        try {
          if (call.writableEnded) return;
          const ack = await session.report(report, options.signal);
          if (ack.refused !== "") {
            options.onRefused();
            options.logger.warn("A registration was refused.", { instanceId: report.instanceId, spiffeId: identity, reason: ack.refused });
          }
          call.write(ack);
        } catch (error) {
          if (!options.signal.aborted) options.logger.error("A report could not be taken.", { instanceId: report.instanceId, reason: describeError(error) });
          endCall(call, status.UNAVAILABLE, "the report could not be taken");
        } finally {
          waiting--;
        }
      });
    });
    const end = (): void => session.end();
    call.on("end", () => {
      end();
      call.end();
    });
    call.on("cancelled", end);
    call.on("error", end);
    call.on("close", end);
  };
}
