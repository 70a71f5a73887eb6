import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { sleep, type Clock } from "#federation/runtime/clock.ts";
import { describeError } from "#federation/runtime/errors.ts";
import { isAbort } from "#federation/runtime/lifecycle.ts";
import { isAged } from "#federation/runtime/certificate-age.ts";
import { contextCertificate } from "../context-certificate.ts";
import { clientsFolder } from "./client-access.ts";

/** A client whose certificate is to be made anew, and the plane that its context leads to (`host:port`). */
export interface DueClient {
  readonly name: string;
  readonly server: string;
}

export interface ClientRenewal {
  readonly dataDir: string;
  /** Makes a certificate and writes it into the client's context. */
  readonly renew: (client: DueClient, signal: AbortSignal) => Promise<void>;
  readonly clock: Clock;
  readonly log: (message: string) => void;
}

/** How often certificates are looked at, and a renewal that failed is tried again, in ms. They are read anew each time, so that a machine that slept makes up for it as soon. */
const lookMs = 600_000;

/** Renews the certificates of the clients of the federation in `dataDir` until `signal` aborts: those that its last start has laid out. */
export async function keepClients(options: ClientRenewal, signal: AbortSignal): Promise<void> {
  const { clock } = options;
  while (!signal.aborted) {
    try {
      await renewDue(options, signal);
      await sleep(clock, lookMs, signal);
    } catch (error) {
      if (!isAbort(error)) throw error;
    }
  }
}

async function renewDue({ dataDir, renew, clock, log }: ClientRenewal, signal: AbortSignal): Promise<void> {
  for (const client of dueClients(dataDir, clock.nowMs())) {
    try {
      await renew(client, signal);
      log(`the client ${client.name} has a new certificate`);
    } catch (error) {
      if (signal.aborted) return;
      log(`the client ${client.name} keeps its certificate for now: ${describeError(error)}`);
    }
  }
}

/** Those whose certificate has lived for half of its life. One that nobody can read is made by the next start. */
export function dueClients(dataDir: string, nowMs: number): readonly DueClient[] {
  return clientNames(dataDir).flatMap((name) => {
    const found = contextCertificate(textOf(join(dataDir, "global", clientsFolder, `${name}.json`)));
    if (found === undefined) return [];
    return isAged(found.certificate, nowMs) ? [{ name, server: found.server }] : [];
  });
}

/** Those of the file as it was last started: contexts of earlier ones may still lie beside the keys. */
function clientNames(dataDir: string): readonly string[] {
  try {
    const files = readdirSync(join(dataDir, clientsFolder));
    return files.flatMap((file) => (file.endsWith(".json") ? [file.slice(0, -".json".length)] : []));
  } catch {
    // No client was ever laid out.
    return [];
  }
}

function textOf(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}
