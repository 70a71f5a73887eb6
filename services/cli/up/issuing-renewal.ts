import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { isAged } from "#federation/runtime/certificate-age.ts";
import { sleep, type Clock } from "#federation/runtime/clock.ts";
import { describeError } from "#federation/runtime/errors.ts";
import { issuingCertificate } from "../bootstrap/federation-keys.ts";
import { certificateInFile } from "../certificate-file.ts";
import { currentProgram } from "../programs/built-program.ts";
import { saidError } from "../programs/said-error.ts";
import type { Installation } from "./run-init.ts";

/** What the global plane's program says of a renewal. */
export interface IssuingOutcome {
  readonly isNew: boolean;
  readonly notAfterMs: number;
}

export interface IssuingKeeper {
  readonly keysDir: string;
  readonly renew: (signal: AbortSignal) => Promise<IssuingOutcome>;
  readonly clock: Clock;
  readonly log: (message: string) => void;
}

/** How often the certificate is looked at, and a renewal that failed is tried again, in ms. It is read anew each time, so that a machine that slept makes up for it as soon. */
const lookMs = 600_000;

/**
 * Runs the global plane's `renew-issuing` with `words` over the federation's keys in `keysDir`.
 * @throws what the program says is wrong, by its code; {ATOLL_PROCESS_FAILED} when it says nothing, also when `signal` ends it
 */
export async function runRenewIssuing({ node, home, env }: Installation, keysDir: string, words: readonly string[], signal: AbortSignal): Promise<IssuingOutcome> {
  const args = [currentProgram(home, join(home, "services/global/main.ts")), "renew-issuing", "--data", keysDir, ...words];
  const { stdout, stderr } = await new Promise<{ readonly stdout: string; readonly stderr: string }>((settle) => {
    execFile(node, args, { cwd: home, env: { ...env }, signal }, (_error, out, err) => settle({ stdout: out, stderr: err }));
  });
  const line = stdout.split("\n").find((one) => one.startsWith("issuing "));
  if (line === undefined) throw saidError(stderr);
  return JSON.parse(line.slice("issuing ".length)) as IssuingOutcome;
}

/** Whether half of the life is over of what the federation in `keysDir` issues by; false where there is none that can be read. */
export function isIssuingDue(keysDir: string, nowMs: number): boolean {
  const certificate = certificateInFile(join(keysDir, issuingCertificate));
  return certificate !== undefined && isAged(certificate, nowMs);
}

/** Whether the root's key lies beside the federation's keys, where `atoll up` has made it. */
export function hasRootKey(keysDir: string): boolean {
  return existsSync(join(keysDir, "federation-root.key"));
}

/** Renews the federation's issuing certificate when half of its life is over, until `signal` aborts. What stands in the way, for half a year perhaps, is logged once. */
export async function keepIssuing(options: IssuingKeeper, signal: AbortSignal): Promise<void> {
  const { keysDir, clock, log } = options;
  let said = "";
  while (!signal.aborted) {
    if (isIssuingDue(keysDir, clock.nowMs())) {
      const words = await renewed(options, signal);
      if (!signal.aborted && words !== said) log(words);
      said = words;
    }
    await sleep(clock, lookMs, signal).catch(() => undefined);
  }
}

/** Tries it once; answers what there is to say of it. */
async function renewed({ keysDir, renew }: IssuingKeeper, signal: AbortSignal): Promise<string> {
  if (!hasRootKey(keysDir)) return `half of the life of the federation's issuing certificate is over, and the root's key is not in ${keysDir}: \`atoll renew-issuing --keys ${keysDir} --root-key FILE\` makes another`;
  try {
    const { notAfterMs } = await renew(signal);
    return `the federation's issuing certificate is good until ${new Date(notAfterMs).toISOString()}`;
  } catch (error) {
    return `the federation's issuing certificate stays as it is for now: ${describeError(error)}`;
  }
}
