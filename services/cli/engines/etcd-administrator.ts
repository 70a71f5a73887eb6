import { readFileSync } from "node:fs";
import type { Etcd3 } from "etcd3";
import type { Clock } from "#federation/runtime/clock.ts";
import type { EngineTlsFiles } from "./etcd-args.ts";

/** How an etcd is reached by its administrator. */
export interface EtcdAdministratorOptions {
  /** `https://host:port` of members; whichever answers is asked. */
  readonly endpoints: readonly string[];
  /** The administrator's certificate, from `init --etcd-administrator`. */
  readonly tls: EngineTlsFiles;
  readonly clock: Clock;
  /** Bound of each call. */
  readonly callTimeoutMs: number;
}

/** An etcd's API with an administrator's rights; to be closed. Nothing is sent before the first use. @throws when the files cannot be read */
export async function openAsAdministrator({ endpoints, tls, clock, callTimeoutMs }: EtcdAdministratorOptions): Promise<Etcd3> {
  const credentials = { rootCertificate: readFileSync(tls.ca), privateKey: readFileSync(tls.privateKey), certChain: readFileSync(tls.certificate) };
  // Loaded by the commands that need it alone: every command would wait for it.
  const { Etcd3 } = await import("etcd3");
  return new Etcd3({ hosts: [...endpoints], credentials, defaultCallOptions: () => ({ deadline: clock.nowMs() + callTimeoutMs }) });
}
