import { once } from "node:events";
import { readFileSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { connect as connectTls, type SecureContextOptions } from "node:tls";
import type { EngineTlsFiles } from "./etcd-args.ts";

/** A process of an engine on this machine. */
export interface EngineProcess {
  readonly name: string;
  readonly engine: "etcd" | "nats-server";
  readonly address: string;
  /** Where its clients connect. */
  readonly port: number;
}

/** Status answers within about two seconds, whoever does not. */
const answerMsMax = 1_500;

/**
 * Those that take a connection, as the system does in their name, and say nothing: a process that stands still. A nats-server speaks first,
 * an etcd in the handshake, whatever it thinks of the certificate in `tls`. Who refuses the connection does not run, which others say.
 */
export async function findSilentEngines(engines: readonly EngineProcess[], tls: EngineTlsFiles): Promise<readonly EngineProcess[]> {
  if (engines.length === 0) return [];
  const context = { ca: readFileSync(tls.ca), cert: readFileSync(tls.certificate), key: readFileSync(tls.privateKey) };
  const silent = await Promise.all(engines.map(async (engine) => await isSilent(engine, context)));
  return engines.filter((_, at) => silent[at]);
}

/** A sentence for each, with what to do. Pure. */
export function silentEngineProblems(engines: readonly EngineProcess[]): readonly string[] {
  return engines.map(({ name, engine, address, port }) => {
    const costs = engine === "etcd" ? "of three members two have to answer, or its plane takes no writes" : "planes go on with the other nats-servers that they know";
    return `${name} takes connections at ${address}:${port} and answers nobody: it stands still; ${costs}. Let it go on, or kill it, so that it is started again`;
  });
}

async function isSilent({ engine, address, port }: EngineProcess, context: SecureContextOptions): Promise<boolean> {
  const socket: Socket = engine === "etcd" ? connectTls({ host: address, port, ...context }) : connect(port, address);
  const signal = AbortSignal.timeout(answerMsMax);
  try {
    await once(socket, engine === "etcd" ? "secureConnect" : "data", { signal });
    return false;
  } catch {
    // Whatever else it was, somebody has answered.
    return signal.aborted;
  } finally {
    socket.on("error", () => undefined);
    socket.destroy();
  }
}
