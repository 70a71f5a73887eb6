import { resolve } from "node:path";
import { AtollError } from "#federation/runtime/errors.ts";
import { hasKeys } from "../bootstrap/federation-keys.ts";
import type { CommandContext } from "../context.ts";
import { printData } from "../output.ts";
import { runRenewIssuing } from "../up/issuing-renewal.ts";

/** What `atoll renew-issuing` may be told. */
export interface RenewIssuingOptions {
  /** Where the federation's keys are. */
  readonly keys: string;
  readonly rootKey?: string;
  readonly force: boolean;
}

/**
 * `atoll renew-issuing`: another certificate for the key that the global plane issues by, once half of its life is over. It runs where the root's key is,
 * which it needs only then; what it writes is no secret and goes to where the global plane runs.
 */
export async function runRenewIssuingCommand(context: CommandContext, { keys, rootKey, force }: RenewIssuingOptions): Promise<number> {
  const keysDir = resolve(keys);
  if (!hasKeys(keysDir)) throw new AtollError("ATOLL_USAGE", `${keysDir} holds no keys of a federation: --keys says where they are`);
  const words = [...(rootKey === undefined ? [] : ["--root-key", resolve(rootKey)]), ...(force ? ["--force"] : [])];
  const { isNew, notAfterMs } = await runRenewIssuing(context, keysDir, words, context.signal);
  const validUntil = new Date(notAfterMs).toISOString();
  if (printData(context, { isNew, validUntil })) return 0;
  context.terminal.print(`The federation's issuing certificate: ${isNew ? "renewed, " : ""}good until ${validUntil.slice(0, 10)}`);
  return 0;
}
