import { randomBytes } from "node:crypto";
import { connect, Events, type NatsConnection } from "nats";
import type { NatsReach, NatsReport } from "#federation/model/engine-report.ts";
import { natsTlsOptions, type NatsTls } from "./nats-tls.ts";

export interface NatsInspectionOptions {
  readonly servers: readonly string[];
  /** Shown by the server's monitoring. */
  readonly name: string;
  readonly tls: () => NatsTls;
}

const connectTimeoutMs = 3_000;

/**
 * Looks at the NATS that a plane uses, by a connection of its own and the plane's certificate: tries to hear and to say, where nobody listens
 * or speaks, what no plane has a right to. A server that keeps planes apart logs the two attempts as violations. @throws when none can be reached
 */
export async function inspectNats({ servers, name, tls }: NatsInspectionOptions): Promise<NatsReport> {
  const connection = await connect({
    servers: [...servers],
    name: `${name}-inspection`,
    noRandomize: true,
    reconnect: false,
    timeout: connectTimeoutMs,
    ignoreClusterUpdates: true,
    noAsyncTraces: true,
    tls: natsTlsOptions(tls, servers),
  });
  try {
    const reaches = await reachesOf(connection);
    const { version = "", max_payload: messageBytesMax = 0 } = connection.info ?? {};
    return { kind: "nats", address: `tls://${connection.getServer()}`, version, messageBytesMax, reaches };
  } finally {
    await connection.close();
  }
}

async function reachesOf(connection: NatsConnection): Promise<readonly NatsReach[]> {
  const refused = new Set<string>();
  void followRefusals(connection, refused);
  const subject = `atoll.inspection.${randomBytes(8).toString("hex")}`;
  // The callback takes what would be thrown into an iterator otherwise.
  connection.subscribe(subject, { callback: () => undefined });
  connection.publish(subject);
  // A server answers in order: what it refuses, it has refused by the time of the second answer.
  await connection.flush();
  await connection.flush();
  return [...(refused.has("subscription") ? [] : (["hear"] as const)), ...(refused.has("publish") ? [] : (["say"] as const))];
}

/** Ends with the connection. */
async function followRefusals(connection: NatsConnection, refused: Set<string>): Promise<void> {
  for await (const { type, permissionContext } of connection.status()) if (type === Events.Error && permissionContext !== undefined) refused.add(permissionContext.operation);
}
